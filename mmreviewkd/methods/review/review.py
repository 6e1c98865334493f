"""The review of a student's levels: their fusion from deep to shallow, and its loss."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache, reduce
from typing import Any

import torch
import torch.nn as nn
from mmdet.registry import MODELS
from torch import Tensor

from ...compat.precision import in_precision
from ...errors import UserInputError
from ..auto_weight import SHARE, AutoWeight
from ..method import Pair, TrainedMethod, View
from .abf import ABF
from .hcl import hcl_loss, l2_loss
from .standardize import Standardize


@MODELS.register_module()
class Review(TrainedMethod):
    """Fusion over all levels, ``R^j = U(F^j, R^{j+1})``, and its loss.

    The method is that of arXiv 2104.09044, section 3.

    Features are lists from shallow to deep (high to low resolution).

    Args:
        in_channels (Sequence[int]): Channels of the student's levels.
        out_channels (Sequence[int]): Channels of the teacher's levels.
        mid_channels (int, optional): Channels of the residuals. Defaults to
            the published ``min(512, in_channels[-1])``.
        fusion (str): ``'abf'``, or an ablation of the paper (its table 7):
            ``'sum'`` adds the residual without attention; ``'pairs'`` compares
            each level with the teacher's same and all shallower levels, without
            residuals; ``'none'`` compares it with the same level only.
        distance (str): ``'hcl'``, or ``'l2'`` for the plain mean square.
        weight (float | str): Weight of the loss; published: 1.0 for Faster R-CNN
            R101-R50. ``'auto'`` sets it from gradients, see :class:`AutoWeight`, and
            compares with the teacher's features as :class:`Standardize` makes them.
        names (Sequence[str]): Names of the levels in the log.
        precision (str, optional): ``'bfloat16'`` to compute fusion and loss in it, but
            statistics and squares. Defaults to that of the run.
        compile (bool): Whether ``torch.compile`` compiles fusion and loss, once for
            each size of the features.
        share (float, optional): With ``weight='auto'``, how strongly the review is to
            pull at the student's features, relative to the student's own loss.

    Raises:
        UserInputError: A setting cannot be used; the message names it.

    Examples:
        >>> review = MODELS.build(
        ...     dict(type='Review', in_channels=[8, 16], out_channels=[32, 64])
        ... )
        >>> features = [torch.rand(2, 8, 16, 16), torch.rand(2, 16, 8, 8)]
        >>> [tuple(x.shape) for x in review(features, [(16, 16), (8, 8)])]
        [(2, 32, 16, 16), (2, 64, 8, 8)]
    """

    levels: Sequence[ABF]
    standardize: Sequence[Standardize]

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: Sequence[int],
        mid_channels: int | None = None,
        fusion: str = 'abf',
        distance: str = 'hcl',
        weight: float | str = 1.0,
        names: Sequence[str] = (),
        precision: str | None = None,
        compile: bool = False,
        share: float | None = None,
    ) -> None:
        super().__init__(1.0 if weight == 'auto' else weight)  # type: ignore[arg-type]
        if share is not None and weight != 'auto':
            raise UserInputError(
                f"review=dict(share={share!r}): is for weight='auto', not for "
                f'weight={weight!r}'
            )
        if weight == 'auto':
            self.auto = AutoWeight(SHARE if share is None else share)
            self.standardize = nn.ModuleList(  # type: ignore[assignment]
                map(Standardize, out_channels)
            )
        for name, value, known in (
            ('fusion', fusion, ('abf', 'sum', 'pairs', 'none')),
            ('distance', distance, ('hcl', 'l2')),
        ):
            if value not in known:
                raise UserInputError(
                    f'review=dict({name}={value!r}): must be one of {", ".join(known)}'
                )
        if mid_channels is None:
            mid_channels = min(512, in_channels[-1])
        if type(mid_channels) is not int or mid_channels < 1:
            raise UserInputError(
                f'review=dict(mid_channels={mid_channels!r}): must be a whole number '
                '>= 1'
            )
        self.fusion = fusion
        self.distance = hcl_loss if distance == 'hcl' else l2_loss
        self.names = names
        self.precision, self.compiled = precision, compile
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
        self.settings = dict(
            channels=[
                f'{in_channels[i]}-{out_channels[j]}' for i, j in self.transforms
            ],
            fusion=fusion,
            distance=distance,
        )
        if self.auto is not None:
            self.settings['share'] = self.auto.share

    @classmethod
    def for_pair(cls, pair: Pair, **settings: Any) -> Review:
        """Build the review of the matched levels.

        Args:
            pair (Pair): The student and the teacher.
            settings: Arguments of the class beside channels and names.
        """
        return cls(
            pair.student_channels,
            pair.teacher_channels,
            names=pair.levels,
            **settings,
        )

    def losses(self, student: View, teacher: View) -> dict[str, Tensor]:
        """Return the sum over the levels as ``loss``, and each level's distance."""
        device = student.features[0].device
        loss = _compiled_loss() if self.compiled else Review.loss
        targets = self.targets(teacher.features)
        with in_precision('review', self.precision, device):
            levels = loss(self, student.features, targets)
        named = zip(self.names, levels.detach())
        return dict(
            loss=levels.sum(),
            **{name.replace(' ', ''): level for name, level in named},
        )

    def targets(self, features: Sequence[Tensor]) -> Sequence[Tensor]:
        """Return what is learned from the teacher's features, of the same shapes.

        These are the features themselves or, with ``weight='auto'``, standardized ones.
        """
        if self.auto is None:
            return features
        if self.training and self.auto.early:
            for standardize, feature in zip(self.standardize, features):
                standardize.update(feature, anew=self.auto.first)
        return [each(x) for each, x in zip(self.standardize, features)]

    def forward(
        self, features: Sequence[Tensor], target_sizes: Sequence[tuple[int, int]]
    ) -> list[Tensor]:
        """Compute the reviewed features, with the teacher's channels and sizes.

        Args:
            features (Sequence[Tensor]): Student features, (N, C_i, H_i, W_i).
            target_sizes (Sequence[tuple[int, int]]): Heights and widths of
                the teacher's features.

        Returns:
            list[Tensor]: Reviewed features, (N, C, *target_size), shallow to deep.
        """
        reviewed = [
            abf.output(residual)
            for abf, residual, _ in self._residuals(features, target_sizes)
        ]
        return reviewed[::-1]

    def loss(self, features: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
        """Compute the distance at each of the teacher's levels; their sum is the loss.

        Args:
            features (Sequence[Tensor]): Student features, (N, C_i, H_i, W_i).
            targets (Sequence[Tensor]): Teacher features.

        Returns:
            Tensor: (levels, ).
        """
        sizes = [(target.size(2), target.size(3)) for target in targets]
        losses: list[list[Tensor]] = [[] for _ in targets]
        # one level at a time, so that each reviewed feature is freed early
        for abf, residual, j in self._residuals(features, sizes):
            losses[j].append(self.distance(abf.output(residual), targets[j]))
        return torch.stack([reduce(torch.add, level) for level in losses])

    def inspect(
        self, features: Sequence[Tensor], target_sizes: Sequence[tuple[int, int]]
    ) -> list[tuple[Tensor | None, Tensor]]:
        """Compute attention and reviewed feature of each level, for visualization.

        Use it in eval mode. With ``'pairs'``, which reviews a level for several of the
        teacher's, only the reviewed feature for the same level is returned.

        Args:
            features (Sequence[Tensor]): Student features, (N, C_i, H_i, W_i).
            target_sizes (Sequence[tuple[int, int]]): Heights and widths of
                the teacher's features.

        Returns:
            list[tuple[Tensor | None, Tensor]]: For each level, the attention to its
            own feature and to the deeper residual, (N, 2, H_i, W_i), or None where
            there is no attention; and the reviewed feature, (N, C, *target_size).
        """
        views: list[tuple[Tensor | None, Tensor]] = []
        deeper: Tensor | None = None
        for (i, j), (abf, residual, _) in zip(
            reversed(self.transforms), self._residuals(features, target_sizes)
        ):
            if i == j:
                attention = abf.attend(features[i], deeper)
                views.append((attention, abf.output(residual)))
            deeper = residual
        return views[::-1]

    def _residuals(
        self, features: Sequence[Tensor], target_sizes: Sequence[tuple[int, int]]
    ) -> Iterator[tuple[ABF, Tensor, int]]:
        """Yield each ABF, its residual and its teacher level, deepest first."""
        residual: Tensor | None = None
        for abf, (i, j) in zip(reversed(self.levels), reversed(self.transforms)):
            if self.fusion in ('pairs', 'none'):
                residual = None
            height, width = target_sizes[j]
            residual = abf.fuse(features[i], residual, (height, width))
            yield abf, residual, j


@cache
def _compiled_loss() -> Any:
    # not an attribute of the review, which is copied and pickled
    return torch.compile(Review.loss)
