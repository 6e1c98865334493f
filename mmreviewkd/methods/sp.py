"""Similarity-preserving distillation (Tung and Mori, arXiv 1907.09682)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor

from ..compat.precision import in_float32
from ..errors import UserInputError
from .method import Method, Pair, View


def similarity(feature: Tensor) -> Tensor:
    """Return how alike the images of a batch are, in rows of length 1.

    The products are summed in float32 at least, since those of half precision overflow.

    Args:
        feature (Tensor): Feature, (N, C, H, W).

    Returns:
        Tensor: (N, N); zeros in the row of an image whose feature is zero everywhere.
    """
    with torch.autocast(feature.device.type, enabled=False):
        rows = in_float32(feature).flatten(1)
        return F.normalize(rows @ rows.T)


def similarity_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of two similarities (arXiv 1907.09682, equation 4).

    The two features may differ in channels and in size.

    Args:
        student (Tensor): Feature, (N, C, H, W).
        teacher (Tensor): Feature, (N, C', H', W'); gets no gradient.

    Returns:
        Tensor: Scalar, the mean over pairs of images; 0 for a batch of one.
    """
    return F.mse_loss(similarity(student), similarity(teacher.detach()))


@MODELS.register_module()
class SimilarityPreserving(Method):
    """:func:`similarity_loss` of one level; published with weight 3000.

    Args:
        weight (float): Weight of the loss.
        level (int): Index of the level, from the deepest if negative. By default the
            last map of a classifier, before its pooled vector, as published.

    Raises:
        UserInputError: The pair has no such level.

    Examples:
        >>> method = MODELS.build(dict(type='SimilarityPreserving', weight=3000.0))
        >>> student = View(features=[torch.rand(4, 8, 2, 2), torch.rand(4, 8, 1, 1)])
        >>> teacher = View(features=[torch.rand(4, 32, 2, 2), torch.rand(4, 32, 1, 1)])
        >>> method.losses(student, teacher)['loss'].shape
        torch.Size([])
    """

    def __init__(self, weight: float = 1.0, level: int = -2) -> None:
        super().__init__(weight)
        self.level = level

    @classmethod
    def for_pair(cls, pair: Pair, **settings: Any) -> SimilarityPreserving:
        method, count = cls(**settings), len(pair.levels)
        if method.level not in range(-count, count):
            raise UserInputError(
                f'SimilarityPreserving(level={method.level!r}): must be the index of '
                f'a level, from {-count} to {count - 1}'
            )
        return method

    def losses(self, student: View, teacher: View) -> dict[str, Tensor]:
        features = student.features[self.level], teacher.features[self.level]
        return dict(loss=similarity_loss(*features))
