"""Logs how strongly the methods pull at the student's features."""

from typing import Any

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ..compat.compiling import keep_buffers
from ..compat.unwrap import unwrap
from ..errors import UserInputError
from ..models import Distilled


@HOOKS.register_module()
class ReviewGradientHook(Hook):
    """Log how strongly the methods of a distillation pull at the student's features.

    Every loss has a gradient with respect to the student's features. For each
    method, the norm of its gradient, with its weight, is divided by that of the
    student's own loss, and logged:

    - ``NAME_gradient_LEVEL``, such as ``review_gradient_stride8``: at one level. It is
      infinite where the student's own loss does not depend on the level.
    - ``NAME_gradient``: where the student's own loss depends on the features, see
      :class:`AutoWeight`. At 1 the method pulls as strongly as what the student is
      trained for.

    ``mmreviewkd compare`` draws it. To measure takes a part of a backward pass for each
    method and one for the student's own loss, and changes nothing in the training; but
    where activation checkpointing without ``use_reentrant`` runs modules once more,
    their BatchNorms see the batch once more. In a distributed run, the ratios are those
    of the first process.

    Args:
        interval (int): Iterations from one measurement to the next.

    Raises:
        UserInputError: ``interval`` is below 1, or the run has no ReviewKD model.

    Examples:
        >>> hook = HOOKS.build(dict(type='ReviewGradientHook'))
        >>> hook.interval
        50
        >>> custom_hooks = [dict(type='ReviewGradientHook')]  # in a config
    """

    def __init__(self, interval: int = 50) -> None:
        if type(interval) is not int or interval < 1:
            raise UserInputError(
                f'ReviewGradientHook(interval={interval!r}): must be a whole number '
                '>= 1'
            )
        self.interval = interval

    def before_train(self, runner: Runner) -> None:
        model = unwrap(runner.model)
        if not isinstance(model, Distilled):
            raise UserInputError(
                f'ReviewGradientHook needs a ReviewKD model, not {type(model).__name__}'
            )
        keep_buffers()

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        distillation = unwrap(runner.model).distillation
        distillation.observed = runner.iter % self.interval == 0

    def after_train(self, runner: Runner) -> None:
        unwrap(runner.model).distillation.observed = False
