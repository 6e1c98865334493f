"""A review loss that is not finite: an overflow to skip, or the end of a run."""

from collections.abc import Sequence

import torch
from mmengine.logging import MessageHub
from torch import Tensor

_MAX_OVERFLOWS = 40


class FiniteCheck:
    """Stop a run whose losses are not finite, unless a GradScaler will skip the step.

    A scaler halves its scale each time, from 2 ** 16 by default; what does not end by
    then is no overflow.
    """

    def __init__(self) -> None:
        self.overflows = 0
        """Steps in a row whose loss was not finite."""

    def __call__(
        self,
        names: Sequence[str],
        features: Sequence[Tensor],
        targets: Sequence[Tensor],
        losses: Tensor,
    ) -> None:
        """Look at the losses of a step.

        Args:
            names (Sequence[str]): Of the levels, shallow to deep; for the message.
            features (Sequence[Tensor]): The student's.
            targets (Sequence[Tensor]): The teacher's.
            losses (Tensor): One per level, (levels, ).

        Raises:
            FloatingPointError: It names the level, the iteration and whose feature
                is not finite.
        """
        if torch.isfinite(losses).all():
            self.overflows = 0
            return
        self.overflows += 1
        scaled = (
            torch.is_autocast_enabled()
            and torch.get_autocast_gpu_dtype() == torch.float16
        )
        iteration = MessageHub.get_current_instance().get_info('iter', 0) + 1
        # deepest first, the way in which one level spoils the next
        for name, feature, target, loss in reversed(
            list(zip(names, features, targets, losses))
        ):
            if torch.isfinite(loss):
                continue
            culprits = [
                owner
                for owner, values in (("student's", feature), ("teacher's", target))
                if not torch.isfinite(values).all()
            ]
            if (
                scaled
                and "teacher's" not in culprits
                and self.overflows <= _MAX_OVERFLOWS
            ):
                continue
            raise FloatingPointError(
                f'review loss is {loss.item()} at {name} in '
                f'iteration {iteration}; '
                + (
                    f'the {" and the ".join(culprits)} feature is not finite'
                    if culprits
                    else 'both features are finite'
                )
                + '. Training stops before the step; checkpoints written so far '
                'are whole'
            )
