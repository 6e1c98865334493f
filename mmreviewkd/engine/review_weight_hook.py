"""The weights of the methods over a run."""

from collections.abc import Sequence
from typing import Any, Optional

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner

from ..errors import UserInputError
from ..models import Distilled
from .unwrap import unwrap


@HOOKS.register_module()
class ReviewWeightHook(Hook):
    """Warm the methods of a distillation up, let them fade, or end them.

    A weight is the config's times a factor that depends on the runner's
    progress alone, so that a resumed run goes on with it. It is logged as
    ``NAME_weight``, for one as ``review_weight``.

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
        methods (Sequence[str], optional): Names of those that the factor is for; all
            by default. Several hooks can vary several methods.

    Raises:
        UserInputError: Points of time that are negative or out of order, or a method
            that the run does not have.
    """

    priority = 'VERY_HIGH'

    def __init__(
        self,
        warmup: int = 0,
        decay: Optional[tuple[int, int]] = None,
        stop: Optional[int] = None,
        by_epoch: bool = True,
        methods: Optional[Sequence[str]] = None,
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
        self.methods = methods

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
        model = unwrap(runner.model)
        if not isinstance(model, Distilled):
            raise UserInputError(
                f'ReviewWeightHook needs a ReviewKD model, not {type(model).__name__}'
            )
        known = model.distillation.methods
        names = known if self.methods is None else self.methods
        if set(names) - set(known):
            raise UserInputError(
                f'ReviewWeightHook(methods={self.methods!r}): the methods of this '
                f'run are {", ".join(known)}'
            )
        factor = self.factor(runner.epoch if self.by_epoch else runner.iter)
        for name in names:
            method = getattr(model, name)
            method.factor = factor
            runner.message_hub.update_scalar(
                f'train/{name}_weight', method.weight * factor
            )
