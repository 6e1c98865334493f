"""Losses that are not finite: an overflow to be skipped, or the end of the run."""

import math
from collections.abc import Sequence

import torch
from mmengine.logging import MessageHub
from torch import Tensor

from ..methods import View

_MAX_OVERFLOWS = 40


class FiniteCheck:
    """Stop a run whose losses are not finite, unless a GradScaler will skip the step.

    A scaler halves its scale after each overflow, starting from 2 ** 16 by default. If
    losses are still not finite after ``_MAX_OVERFLOWS`` steps, something else is wrong.

    Args:
        levels (Sequence[str]): Names of the matched levels, shallow to deep.
    """

    def __init__(self, levels: Sequence[str]) -> None:
        self.levels = levels
        self.overflows = 0
        """Number of the latest steps in a row with a loss that was not finite."""

    def __call__(self, losses: dict[str, Tensor], student: View, teacher: View) -> None:
        """Check the losses of a step.

        Args:
            losses (dict[str, Tensor]): The methods' losses and logged values, scalars.
            student (View): Student's view, which the losses were computed from.
            teacher (View): Teacher's view, which the losses were computed from.

        Raises:
            FloatingPointError: A loss is not finite. The message names the loss, the
                iteration, and the feature or logits that are not finite.
        """
        trained = [value for name, value in losses.items() if name.startswith('loss_')]
        if not trained:
            return
        if torch.isfinite(
            torch.stack([loss.detach().float() for loss in trained])
        ).all():
            self.overflows = 0
            return
        self.overflows += 1
        scaled = (
            torch.is_autocast_enabled()
            and torch.get_autocast_gpu_dtype() == torch.float16
        )
        by_teacher, by_student = map(self._not_finite, (teacher, student))
        if scaled and not by_teacher and self.overflows <= _MAX_OVERFLOWS:
            return
        iteration = MessageHub.get_current_instance().get_info('iter', 0) + 1
        # A method's logged values follow its loss. They are searched first, since
        # the name of one tells the level.
        name, value = next(
            (name, value)
            for name, value in reversed([(n, v.item()) for n, v in losses.items()])
            if not math.isfinite(value)
        )
        culprits = [f"the teacher's {each}" for each in by_teacher[:1]]
        culprits += [f"the student's {each}" for each in by_student[:1]]
        raise FloatingPointError(
            f'{name} is {value} in iteration {iteration}; '
            + (
                f'not finite: {", ".join(culprits)}'
                if culprits
                else 'what it was computed from is finite'
            )
            + '. Training stops before the step; checkpoints written so far are whole'
        )

    def _not_finite(self, view: View) -> list[str]:
        """List a model's features and logits that are not finite, deepest level first.

        Values pass from deep levels to shallow ones, so the first in the list is the
        most likely cause.
        """
        found = [
            f'feature at {level}'
            for level, feature in zip(self.levels, view.features)
            if not torch.isfinite(feature).all()
        ][::-1]
        return found + ['logits'] * (not torch.isfinite(view.logits).all())
