"""A weight that is set from measured gradients."""

from __future__ import annotations

import math

import torch
import torch.nn as nn
from mmengine.dist import all_reduce
from torch import Tensor

from ..compat.compiling import keep_buffers
from ..errors import UserInputError

SHARE = 1.0
"""How strongly the loss pulls by default, relative to the student's own loss."""

EARLY = 100
"""Iterations at the beginning, in which the weight is set, and the teacher's mean and
deviation are taken."""

INTERVAL = 10
"""Iterations from one measurement to the next."""

RESTART = 50
"""The iteration, counted like these, from which on the measurements set the weight.
Those before set it for the time until then."""

_BOUND = 2.3  # natural logarithm of how much the mean may be off for one measurement


class AutoWeight(nn.Module):
    """Weight that lets a loss pull at the student with a given share of its own loss.

    Both losses have a gradient with respect to each of the student's features. With
    their norms ``own`` and ``task`` at each level, the ratio of the two is the number
    ``r`` for which ``r * task`` is nearest to ``own``, by least squares:
    ``own @ task / task @ task``. So the levels count on which the student's own loss
    depends; at others, a ratio would tell nothing. The weight is ``share`` divided
    by the geometric mean of ``r``. In the first 100 iterations, each tenth is measured,
    and at the 50th the mean starts anew: heads that start near zero, as RetinaNet's do,
    have next to no gradient at first. After these the weight is a number like another.

    The mean is in the checkpoint, and all processes of a run measure together.

    Args:
        share (float): How strongly the loss is to pull, relative to the student's own.

    Attributes:
        first (bool): Whether :meth:`due` is asked for the first time in this iteration.
        early (bool): Whether this is one of the first 100 from that one on.

    Raises:
        UserInputError: ``share`` is no number above 0.

    Examples:
        >>> weight = AutoWeight(share=0.3)
        >>> weight.update(own=torch.tensor([6.0, 100.0]), task=torch.tensor([2.0, 0.0]))
        >>> round(weight.value.item(), 4)  # 0.3 / (6 / 2)
        0.1
    """

    log_ratio: Tensor
    measured: Tensor

    def __init__(self, share: float = SHARE) -> None:
        super().__init__()
        is_number = isinstance(share, (int, float)) and not isinstance(share, bool)
        if not is_number or not 0 < share < math.inf:
            raise UserInputError(
                f"review=dict(weight='auto', share={share!r}): must be a number > 0"
            )
        self.share = share
        keep_buffers()
        self.register_buffer('log_ratio', torch.tensor(torch.nan))
        self.register_buffer('measured', torch.tensor(0.0))
        self.begin: int | None = None
        # no numbers: compiled code that reads one is compiled anew for each of them
        self.first = self.early = True

    def forget_another_run(self, iteration: int) -> None:
        """Start anew in a run that started with the weights of another one.

        Args:
            iteration (int): Iteration of the run, whether or not the loss is active. A
                resumed run is past the one in which it was first measured.
        """
        if self.begin is not None and iteration <= self.begin:
            self.begin = None

    def due(self, iteration: int) -> bool:
        """Whether to measure in an iteration of the run.

        The first one is that in which this is first asked. Until a measurement
        succeeds, each of the first ten is due, as steps without a weight are lost.
        """
        if self.begin is None:
            self.begin = iteration
            self.measured.zero_()
        passed = iteration - self.begin
        self.first, self.early = passed == 0, passed < EARLY
        if passed == RESTART:
            # the weight stays until the next measurement
            self.measured.zero_()
        if passed % INTERVAL == 0:
            return self.early
        # a GPU is waited for in nine steps of a run
        return passed < INTERVAL and not self.measured

    def get_extra_state(self) -> Tensor:
        """Return the first iteration, -1 if there was none."""
        return torch.tensor(-1 if self.begin is None else self.begin)

    def set_extra_state(self, state: Tensor) -> None:
        """Go on from the first iteration of a checkpoint."""
        self.begin = int(state) if state >= 0 else None

    @property
    def value(self) -> Tensor:
        """The weight; nan as long as there was no gradient to measure."""
        return self.share * (-self.log_ratio).exp()

    @torch.no_grad()
    def update(self, own: Tensor, task: Tensor) -> None:
        """Take a measurement into the mean, unless a gradient is zero or not finite.

        One that is far from the mean counts as ten times larger, or smaller.

        Args:
            own (Tensor): Norm of the loss's gradient at each level, (levels, ).
            task (Tensor): Norm of the gradient of the student's own loss, (levels, ).
        """
        squares = torch.stack([own, task]).float().square()
        # in place: as if one process had all images
        all_reduce(squares, 'mean')
        own, task = squares.sqrt()
        new = ((own * task).sum() / task.square().sum()).log()
        # tensors alone, so that nothing waits for a GPU
        step = (new - self.log_ratio).clamp(-_BOUND, _BOUND)
        mean = self.log_ratio + step / (self.measured + 1)
        new_mean = torch.where(self.measured > 0, mean, new)
        finite = torch.isfinite(new)
        self.log_ratio.copy_(torch.where(finite, new_mean, self.log_ratio))
        self.measured += finite
