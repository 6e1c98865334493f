"""Draws pictures of the review during a run."""

import math
import os.path as osp
from typing import Optional

from mmdet.registry import HOOKS
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner

from ..compat.unwrap import unwrap
from ..errors import UserInputError
from ..methods.checks import check_numbers
from ..models import Distilled


@HOOKS.register_module()
class ReviewVisualizationHook(Hook):
    """Draw the review of the same validation images after each validation.

    The picture of :func:`draw_review` goes to the backends of the run's
    visualizer, such as TensorBoard, as ``review_IMAGE``. The training is not
    affected.

    Args:
        num_images (int): Number of images, the first ones of the dataset.
        interval (int): Number of validations from one picture to the next.

    Raises:
        UserInputError: An argument is no whole number from 1 on, or the run has no
            review or no validation.

    Examples:
        >>> hook = HOOKS.build(dict(type='ReviewVisualizationHook', num_images=4))
        >>> hook.num_images, hook.interval
        (4, 1)
    """

    # draws the validated weights, before EMAHook swaps them back at NORMAL
    priority = 'ABOVE_NORMAL'

    def __init__(self, num_images: int = 2, interval: int = 1) -> None:
        check_numbers(
            type(self).__name__, whole=True, num_images=num_images, interval=interval
        )
        self.num_images, self.interval = num_images, interval
        self.by_epoch = True

    def before_train(self, runner: Runner) -> None:
        if runner.val_loop is None:
            raise UserInputError(
                'ReviewVisualizationHook draws validation images, and this '
                'run has no val_dataloader'
            )
        model = unwrap(runner.model)
        if not isinstance(model, Distilled) or not hasattr(model, 'review'):
            raise UserInputError(
                'ReviewVisualizationHook needs a ReviewKD model with a review, not '
                f'{type(model).__name__}'
            )
        self.by_epoch = not isinstance(runner.train_loop, IterBasedTrainLoop)

    @master_only
    def after_val_epoch(
        self, runner: Runner, metrics: Optional[dict[str, float]] = None
    ) -> None:
        """Draw the pictures; the model is still in eval mode here."""
        done = runner.epoch if self.by_epoch else runner.iter
        # the number follows from what is done, so that a resumed run draws the same
        if done and _number(done, runner) % self.interval:
            return
        # imported late, since it imports matplotlib and mmcv.ops, and the latter
        # may be what is importing this package
        from ..visualization import draw_review, review_maps, shown_image

        model, dataset = unwrap(runner.model), runner.val_dataloader.dataset
        for index in range(min(self.num_images, len(dataset))):
            item = dataset[index]
            path = getattr(item['data_samples'], 'img_path', str(index))
            runner.visualizer.add_image(
                f'review_{osp.splitext(osp.basename(path))[0]}',
                draw_review(shown_image(model, item), review_maps(model, item)),
                done,
            )


def _number(done: int, runner: Runner) -> int:
    """Number of a validation, from 0, after so many epochs, or iterations."""
    # the last of a run may come before a whole interval has passed
    number, first = (
        math.ceil(each / runner.val_interval)
        for each in (done, max(1, runner.val_begin))
    )
    return number - first
