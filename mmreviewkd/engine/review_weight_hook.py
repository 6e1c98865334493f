"""The weight of the review loss over a run."""

from typing import Any, Optional

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import EpochBasedTrainLoop, Runner

from ..errors import UserInputError


@HOOKS.register_module()
class ReviewWeightHook(Hook):
    """Warm the review up, let it fade, or end it.

    The weight is the config's times a factor that depends on the runner's
    progress alone, so that a resumed run goes on with it. It is logged as
    ``review_weight``. A loss between logits goes by the same factor.

    Args:
        warmup (int): Epochs or iterations, counted from 0, in which the factor
            grows from 0 to 1, ``min(1, t / warmup)``; published for CIFAR-100
            with 20 epochs.
        decay (tuple[int, int], optional): The factor falls linearly from 1 at
            the first to 0 at the second.
        stop (int, optional): From here on the factor is 0. Where it is,
            neither teacher nor review run, and a step takes the student's
            time.
        by_epoch (bool): Whether ``t`` counts epochs or iterations.

    Raises:
        UserInputError: Points of time that are negative or out of order.
    """

    priority = 'VERY_HIGH'

    def __init__(
        self,
        warmup: int = 0,
        decay: Optional[tuple[int, int]] = None,
        stop: Optional[int] = None,
        by_epoch: bool = True,
    ) -> None:
        points = [0, warmup, *(decay or ())]
        if stop is not None:
            points.append(stop)
        if points != sorted(points) or (
            decay and (len(decay) != 2 or decay[0] == decay[1])
        ):
            raise UserInputError(
                f'ReviewWeightHook(warmup={warmup}, decay={decay}, '
                f'stop={stop}): must be at least 0, and in this order'
            )
        self.warmup, self.decay, self.stop = warmup, decay, stop
        self.by_epoch = by_epoch

    def factor(self, t: int) -> float:
        """Factor at epoch or iteration ``t``."""
        if self.stop is not None and t >= self.stop:
            return 0.0
        factor = min(1.0, t / self.warmup) if self.warmup else 1.0
        if self.decay:
            begin, end = self.decay
            factor *= min(1.0, max(0.0, (end - t) / (end - begin)))
        return factor

    def before_train(self, runner: Runner) -> None:
        if self.by_epoch and not isinstance(runner.train_loop, EpochBasedTrainLoop):
            raise UserInputError(
                'ReviewWeightHook counts epochs, and this run is iteration '
                'based: set by_epoch=False, and points in iterations'
            )

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        model = runner.model
        model = model.module if is_model_wrapper(model) else model
        if not hasattr(model, 'review'):
            raise UserInputError(
                f'ReviewWeightHook needs a ReviewKD model, not {type(model).__name__}'
            )
        model.factor = self.factor(runner.epoch if self.by_epoch else runner.iter)
        runner.message_hub.update_scalar(
            'train/review_weight', model.weight * model.factor
        )
