"""Losses that are not finite: an overflow to be skipped, or the end of the run."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Optional

import torch
from mmengine.logging import MessageHub
from torch import Tensor

from ..methods import View

_MAX_OVERFLOWS = 40


class _Step(NamedTuple):
    """What is looked at of a step: scalars, on their way to the host.

    Args:
        names (list[str]): The methods' losses and logged values, and then the features
            and logits, each by the words that a message has for it.
        losses (int): How many of them are losses and logged values.
        values (Tensor): One value each, on the CPU; of features and logits, a sum.
        arrived (torch.cuda.Event, optional): Reached when the values are there.
        iteration (int): Number of the step, from 1.
        scaled (bool): Whether a GradScaler may skip the step.
    """

    names: list[str]
    losses: int
    values: Tensor
    arrived: Optional[torch.cuda.Event]
    iteration: int
    scaled: bool


class FiniteCheck:
    """Stop a run whose losses are not finite, unless a GradScaler will skip the step.

    A scaler halves its scale after each overflow, starting from 2 ** 16 by default. If
    losses are still not finite after ``_MAX_OVERFLOWS`` steps, something else is wrong.

    On a GPU, a step is judged when the next one begins, or before its weights are
    saved or copied, so that the host never waits for the device in the middle of a
    step. Elsewhere it is judged at once.

    Args:
        levels (Sequence[str]): Names of the matched levels, shallow to deep.
    """

    def __init__(self, levels: Sequence[str]) -> None:
        self.levels = levels
        self.overflows = 0
        """Number of the latest steps in a row with a loss that was not finite."""
        self._step: Optional[_Step] = None

    def __getstate__(self) -> dict[str, Any]:
        # for copies and pickles, which a torch.cuda.Event refuses
        self.finish()
        return vars(self)

    def __call__(self, losses: dict[str, Tensor], student: View, teacher: View) -> None:
        """Look at the losses of a step.

        Args:
            losses (dict[str, Tensor]): The methods' losses and logged values, scalars.
            student (View): Student's view, which the losses were computed from.
            teacher (View): Teacher's view, which the losses were computed from.

        Raises:
            FloatingPointError: A loss of this step, or on a GPU of the step before, is
                not finite. The message names the loss, the iteration, and the feature
                or logits that are not finite.
        """
        self.finish()
        if not any(name.startswith('loss_') for name in losses):
            return
        read = {**self._read('teacher', teacher), **self._read('student', student)}
        # the sum of values that are finite is finite
        sums = [value.detach().sum(dtype=torch.float32) for value in read.values()]
        values = torch.stack(
            [*(loss.detach().float() for loss in losses.values()), *sums]
        )
        values, arrived = _to_host(values)
        self._step = _Step(
            names=[*losses, *read],
            losses=len(losses),
            values=values,
            arrived=arrived,
            iteration=MessageHub.get_current_instance().get_info('iter', 0) + 1,
            scaled=torch.is_autocast_enabled()
            and torch.get_autocast_gpu_dtype() == torch.float16,
        )
        if arrived is None:
            self.finish()

    def finish(self) -> None:
        """Judge the latest step, if it was not yet.

        Raises:
            FloatingPointError: A loss of that step is not finite.
        """
        step, self._step = self._step, None
        if step is None:
            return
        if step.arrived is not None:
            step.arrived.synchronize()
        wrong = [
            (name, value)
            for name, value in zip(step.names, step.values.tolist())
            if not math.isfinite(value)
        ]
        losses = [each for each in wrong if each[0] in step.names[: step.losses]]
        if not any(name.startswith('loss_') for name, _ in losses):
            self.overflows = 0
            return
        self.overflows += 1
        by_teacher, by_student = (
            [name for name, _ in wrong if name.startswith(f"the {role}'s ")]
            for role in ('teacher', 'student')
        )
        if step.scaled and not by_teacher and self.overflows <= _MAX_OVERFLOWS:
            return
        unset = [name for name, _ in losses if name.endswith('_weight')]
        if unset and not by_teacher and not by_student:
            raise FloatingPointError(
                f'{unset[0]} could not be set in iteration {step.iteration}: on the '
                "features that are compared, the gradient of the student's own loss, "
                'or of this one, is zero, not finite or switched off, as in a '
                'classifier that is compiled whole. Give the weight as a number'
            )
        # A method's logged values follow its loss. The last is named, since the name
        # of a logged value tells the level.
        name, value = losses[-1]
        culprits = ', '.join(by_teacher[:1] + by_student[:1])
        raise FloatingPointError(
            f'{name} is {value} in iteration {step.iteration}; '
            + (
                f'not finite: {culprits}'
                if culprits
                else 'what it was computed from is finite'
            )
            + '. Training stops; checkpoints written so far are whole'
        )

    def _read(self, role: str, view: View) -> dict[str, Tensor]:
        """List what losses were computed from, deepest level first.

        Values pass from deep levels to shallow ones, so the first in the list is the
        most likely cause.
        """
        levels = list(zip(self.levels, view.features))
        read = {f"the {role}'s feature at {level}": x for level, x in levels[::-1]}
        if len(view.logits):
            read[f"the {role}'s logits"] = view.logits
        return read


def _to_host(values: Tensor) -> tuple[Tensor, Optional[torch.cuda.Event]]:
    """Copy values to the host without waiting; the event tells when they are there."""
    if not values.is_cuda:
        return values, None
    host = torch.empty(values.shape, pin_memory=True)
    host.copy_(values, non_blocking=True)
    arrived = torch.cuda.Event()
    arrived.record()
    return host, arrived
