"""The review of a student's levels: fusion from deep to shallow, and loss."""

import json
import logging
from collections.abc import Iterator, Sequence
from functools import reduce
from typing import Any, Optional

import torch
import torch.nn as nn
from mmengine.logging import print_log
from torch import Tensor

from ..errors import UserInputError
from .abf import ABF
from .hcl import hcl_loss, l2_loss


class Review(nn.Module):
    """The fusion over all levels, ``R^j = U(F^j, R^{j+1})``, and its loss.

    Features are lists from shallow to deep (high to low resolution).

    Args:
        in_channels (Sequence[int]): The student's channels.
        out_channels (Sequence[int]): The teacher's channels.
        mid_channels (int, optional): Channels of the residuals. Defaults to
            the published ``min(512, in_channels[-1])``.
        fusion (str): ``'abf'``, or an ablation of the paper (its table 7):
            ``'sum'`` adds the residual without attention; ``'pairs'`` compares
            each level with the teacher's of it and of all shallower ones,
            without residuals; ``'none'`` compares the same levels alone.
        distance (str): ``'hcl'``, or ``'l2'``, the plain mean square.
    """

    levels: Sequence[ABF]

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: Sequence[int],
        mid_channels: Optional[int] = None,
        fusion: str = 'abf',
        distance: str = 'hcl',
    ) -> None:
        super().__init__()
        for name, value, known in (
            ('fusion', fusion, ('abf', 'sum', 'pairs', 'none')),
            ('distance', distance, ('hcl', 'l2')),
        ):
            if value not in known:
                raise UserInputError(
                    f'review=dict({name}={value!r}): must be one of {", ".join(known)}'
                )
        mid_channels = mid_channels or min(512, in_channels[-1])
        self.fusion = fusion
        self.distance = hcl_loss if distance == 'hcl' else l2_loss
        self.settings: dict[str, Any] = {}
        """What it is trained with, as a checkpoint remembers it."""
        deepest = len(in_channels) - 1
        # (student's level, teacher's level) of each transform
        self.transforms = [
            (i, j)
            for j in range(len(out_channels))
            for i in range(j, len(in_channels))
            if i == j or fusion == 'pairs'
        ]
        self.levels = nn.ModuleList(  # type: ignore[assignment]  # no type of its items
            ABF(
                in_channels[i],
                mid_channels,
                out_channels[j],
                with_residual=fusion == 'abf' and i < deepest,
            )
            for i, j in self.transforms
        )

    def forward(
        self, features: Sequence[Tensor], target_sizes: Sequence[tuple[int, int]]
    ) -> list[Tensor]:
        """Reviewed features, with the teacher's channels and sizes.

        Args:
            features (Sequence[Tensor]): Student features, (N, C_i, H_i, W_i).
            target_sizes (Sequence[tuple[int, int]]): Heights and widths of
                the teacher's features.
        """
        reviewed = [
            abf.output(residual)
            for abf, residual, _ in self._residuals(features, target_sizes)
        ]
        return reviewed[::-1]

    def loss(self, features: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
        """Distance at each of the teacher's levels, (levels, ); to be summed.

        Args:
            features (Sequence[Tensor]): Student features, (N, C_i, H_i, W_i).
            targets (Sequence[Tensor]): Teacher features.
        """
        sizes = [(target.size(2), target.size(3)) for target in targets]
        losses: list[list[Tensor]] = [[] for _ in targets]
        # one level at a time: no reviewed feature outlives its loss
        for abf, residual, j in self._residuals(features, sizes):
            losses[j].append(self.distance(abf.output(residual), targets[j]))
        return torch.stack([reduce(torch.add, level) for level in losses])

    def inspect(
        self, features: Sequence[Tensor], target_sizes: Sequence[tuple[int, int]]
    ) -> list[tuple[Optional[Tensor], Tensor]]:
        """Attention and reviewed feature of each level, to be looked at.

        In eval mode. Of ``'pairs'``, which reviews a level for several of the
        teacher's, the one for its own is given.

        Args:
            features (Sequence[Tensor]): Student features, (N, C_i, H_i, W_i).
            target_sizes (Sequence[tuple[int, int]]): As of :meth:`forward`.

        Returns:
            list[tuple[Tensor | None, Tensor]]: (N, 2, H_i, W_i), how much of
            the level's own feature and of the deeper residual comes through,
            or None where there is no attention; and (N, C, *target_size).
        """
        views: list[tuple[Optional[Tensor], Tensor]] = []
        deeper: Optional[Tensor] = None
        for (i, j), (abf, residual, _) in zip(
            reversed(self.transforms), self._residuals(features, target_sizes)
        ):
            if i == j:
                attention = abf.attend(features[i], deeper)
                views.append((attention, abf.output(residual)))
            deeper = residual
        return views[::-1]

    def get_extra_state(self) -> Tensor:
        """``settings``, in bytes: a state dict is expected to hold tensors."""
        return torch.tensor(list(json.dumps(self.settings).encode()), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """Warn where a loaded checkpoint was trained with other settings."""
        try:
            before = dict(json.loads(bytes(state.tolist())))
        except (AttributeError, TypeError, ValueError):
            print_log(
                'The review of this checkpoint does not say with what '
                'settings it was trained',
                'current',
                logging.WARNING,
            )
            return
        changes = [
            f'{name} {before.get(name)} (now: {self.settings.get(name)})'
            for name in {**self.settings, **before}
            if before.get(name) != self.settings.get(name)
        ]
        if changes:
            print_log(
                'The review of this checkpoint was trained with another '
                + ', '.join(changes),
                'current',
                logging.WARNING,
            )

    def _residuals(
        self, features: Sequence[Tensor], target_sizes: Sequence[tuple[int, int]]
    ) -> Iterator[tuple[ABF, Tensor, int]]:
        """Each transform, its residual and teacher's level, deepest first."""
        residual: Optional[Tensor] = None
        for abf, (i, j) in zip(reversed(self.levels), reversed(self.transforms)):
            if self.fusion in ('pairs', 'none'):
                residual = None
            height, width = target_sizes[j]
            residual = abf.fuse(features[i], residual, (height, width))
            yield abf, residual, j
