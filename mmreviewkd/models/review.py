"""The review of a student's levels: fusion from deep to shallow, and loss."""
import json
import logging
from typing import Iterator, List, Optional, Sequence, Tuple

import torch
import torch.nn as nn
from mmengine.logging import print_log
from torch import Tensor

from .abf import ABF
from .hcl import hcl_loss


class Review(nn.Module):
    """The fusion over all levels, ``R^j = U(F^j, R^{j+1})``, and its loss.

    Features are lists from shallow to deep (high to low resolution).

    Args:
        in_channels (Sequence[int]): The student's channels.
        out_channels (Sequence[int]): The teacher's channels.
        mid_channels (int, optional): Channels of the residuals. Defaults to
            the published ``min(512, in_channels[-1])``.
    """

    def __init__(self,
                 in_channels: Sequence[int],
                 out_channels: Sequence[int],
                 mid_channels: Optional[int] = None) -> None:
        super().__init__()
        mid_channels = mid_channels or min(512, in_channels[-1])
        self.settings = {}
        """What it is trained with, as a checkpoint remembers it."""
        deepest = len(in_channels) - 1
        self.levels = nn.ModuleList(
            ABF(c_in, mid_channels, c_out, with_residual=i < deepest)
            for i, (c_in, c_out) in enumerate(zip(in_channels, out_channels)))

    def forward(self, features: Sequence[Tensor],
                target_sizes: Sequence[Tuple[int, int]]) -> List[Tensor]:
        """Reviewed features, with the teacher's channels and sizes.

        Args:
            features (Sequence[Tensor]): Student features, (N, C_i, H_i, W_i).
            target_sizes (Sequence[tuple[int, int]]): Heights and widths of
                the teacher's features.
        """
        reviewed = [
            abf.output(residual)
            for abf, residual in self._residuals(features, target_sizes)
        ]
        return reviewed[::-1]

    def loss(self, features: Sequence[Tensor],
             targets: Sequence[Tensor]) -> Tensor:
        """HCL of each level, (levels, ); the method's loss is their sum.

        Args:
            features (Sequence[Tensor]): Student features, (N, C_i, H_i, W_i).
            targets (Sequence[Tensor]): Teacher features.
        """
        sizes = [target.shape[-2:] for target in targets]
        # one level at a time: no reviewed feature outlives its loss
        losses = [
            hcl_loss(abf.output(residual), target)
            for (abf, residual), target in zip(
                self._residuals(features, sizes), reversed(targets))
        ]
        return torch.stack(losses[::-1])

    def get_extra_state(self) -> Tensor:
        """``settings``, in bytes: a state dict is expected to hold tensors."""
        return torch.tensor(
            list(json.dumps(self.settings).encode()), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """Warn where a loaded checkpoint was trained with other settings."""
        before = json.loads(bytes(state.tolist()))
        changes = [
            f'{name} {before.get(name)} (now: {value})'
            for name, value in self.settings.items()
            if before.get(name) != value
        ]
        if changes:
            print_log(
                'The review of this checkpoint was trained with another ' +
                ', '.join(changes), 'current', logging.WARNING)

    def _residuals(
        self, features: Sequence[Tensor],
        target_sizes: Sequence[Tuple[int, int]]
    ) -> Iterator[Tuple[ABF, Tensor]]:
        """Each level's ABF and residual, deepest first."""
        residual = None
        for abf, feature, size in zip(
                reversed(self.levels), reversed(features),
                reversed(target_sizes)):
            residual = abf.fuse(feature, residual, tuple(size))
            yield abf, residual
