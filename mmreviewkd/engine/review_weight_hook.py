"""Varies the weights of the methods during a run."""

from collections.abc import Sequence
from typing import Any, Optional

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner

from ..compat.unwrap import unwrap
from ..errors import UserInputError
from ..methods import Method
from ..models import Distilled


@HOOKS.register_module()
class ReviewWeightHook(Hook):
    """Warm up, decay or stop the methods of a distillation.

    The config's weight is multiplied by a factor that depends only on the runner's
    progress, so that a resumed run continues with it. The product is logged as
    ``NAME_weight``, such as ``review_weight``.

    Args:
        warmup (int): Number of epochs or iterations in which the factor grows
            linearly from 0 to 1, ``min(1, t / warmup)``; published for CIFAR-100
            with 20 epochs.
        decay (tuple[int, int], optional): Epochs or iterations at which the factor
            begins to fall linearly from 1, and at which it reaches 0.
        stop (int, optional): Epoch or iteration from which on the factor is 0. With
            factor 0, neither teacher nor methods run, and a step takes the time of
            the student alone.
        by_epoch (bool): Whether to count epochs, or iterations.
        methods (Sequence[str], optional): Names of the methods to vary. Defaults to
            all. Several hooks can vary different methods.

    Raises:
        UserInputError: The points of time are negative or out of order, or the run
            has no method of such a name.

    Examples:
        >>> hook = HOOKS.build(dict(type='ReviewWeightHook', warmup=20, stop=200))
        >>> [hook.factor(epoch) for epoch in (0, 10, 20, 199, 200)]
        [0.0, 0.5, 1.0, 1.0, 0.0]
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
        fall = decay if isinstance(decay, (list, tuple)) else [decay] * bool(decay)
        points = [0, warmup, *fall, *([] if stop is None else [stop])]
        if (
            not all(type(point) in (int, float) for point in points)
            or points != sorted(points)
            or (fall and (len(fall) != 2 or fall[0] == fall[1]))
        ):
            raise UserInputError(
                f'ReviewWeightHook(warmup={warmup!r}, decay={decay!r}, '
                f'stop={stop!r}): must be numbers from 0 on, in this order'
            )
        self.warmup, self.decay, self.stop = warmup, decay, stop
        self.by_epoch = by_epoch
        self.methods = methods

    def factor(self, t: int) -> float:
        """Return the factor at epoch or iteration ``t``, counted from 0."""
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
        self._varied(runner)

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        factor = self.factor(runner.epoch if self.by_epoch else runner.iter)
        for name, method in self._varied(runner).items():
            method.factor = factor
            # one set from gradients is logged with the losses
            if method.auto is None or factor == 0:
                runner.message_hub.update_scalar(
                    f'train/{name}_weight', method.weight * factor
                )

    def _varied(self, runner: Runner) -> dict[str, Method]:
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
        return {name: getattr(model, name) for name in names}
