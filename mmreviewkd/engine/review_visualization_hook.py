"""Draws pictures of the review during a run."""

import os.path as osp
from typing import Optional

from mmdet.registry import HOOKS
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner

from ..compat.unwrap import unwrap
from ..errors import UserInputError
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
        UserInputError: A number is below 1, or the run has no review or no validation.

    Examples:
        >>> hook = HOOKS.build(dict(type='ReviewVisualizationHook', num_images=4))
        >>> hook.num_images, hook.interval
        (4, 1)
    """

    # draws the validated weights, before EMAHook swaps them back at NORMAL
    priority = 'ABOVE_NORMAL'

    def __init__(self, num_images: int = 2, interval: int = 1) -> None:
        if num_images < 1 or interval < 1:
            raise UserInputError(
                f'ReviewVisualizationHook(num_images={num_images}, '
                f'interval={interval}): must be at least 1'
            )
        self.num_images, self.interval = num_images, interval
        self.by_epoch = True
        self.validations = 0

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
        # imported late, since it imports matplotlib and mmcv.ops, and the latter
        # may be what is importing this package
        from ..visualization import draw_review, review_maps, shown_image

        self.validations += 1
        if (self.validations - 1) % self.interval:
            return
        model, dataset = unwrap(runner.model), runner.val_dataloader.dataset
        for index in range(min(self.num_images, len(dataset))):
            item = dataset[index]
            path = getattr(item['data_samples'], 'img_path', str(index))
            runner.visualizer.add_image(
                f'review_{osp.splitext(osp.basename(path))[0]}',
                draw_review(shown_image(model, item), review_maps(model, item)),
                runner.epoch if self.by_epoch else runner.iter,
            )
