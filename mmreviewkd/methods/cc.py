"""Correlation congruence as CRD's benchmark computes it, which is not as published."""

from __future__ import annotations

import torch.nn as nn
from mmdet.registry import MODELS
from torch import Tensor

from ..compat.precision import in_float32
from .method import Pair, TrainedMethod, View

_CHANNELS = 128


def neighbor_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Product of the differences of each image and of the next one in the batch.

    With ``d_i = |student_i - teacher_i|``, by channel, this is the mean over images of
    the scalar product of ``d_i`` and ``d_(i+1)``. It depends on the order of the batch.

    Args:
        student (Tensor): Embedded vectors, (N, C).
        teacher (Tensor): Embedded vectors, (N, C).

    Returns:
        Tensor: Scalar, the mean over the N - 1 neighbors; 0 for a batch of one.
    """
    difference = (in_float32(student) - in_float32(teacher)).abs()
    products = difference[:-1] * difference[1:]
    return products.sum() / max(1, len(products))


@MODELS.register_module()
class CC(TrainedMethod):
    """:func:`neighbor_loss` of two trained embeddings; weight 0.02.

    This is what the rows "CC" of CRD's CIFAR-100 benchmark, and of papers that quote
    it, were made with: code of the paper's author that does not compute the paper's
    formula, for which see :class:`CorrelationCongruence`. Both embeddings, linear
    layers to 128 channels, are trained, so that the loss can also fall because they
    become constant.

    Args:
        pair (Pair): The student and the teacher. A classifier's deepest feature is its
            pooled vector; maps are averaged.
        weight (float): Weight of the loss.

    Examples:
        >>> method = CC(Pair(['a'], [8], [32]), weight=0.02)
        >>> student = View(features=[torch.rand(4, 8, 1, 1)])
        >>> teacher = View(features=[torch.rand(4, 32, 1, 1)])
        >>> method.losses(student, teacher)['loss'].shape
        torch.Size([])
    """

    def __init__(self, pair: Pair, weight: float = 1.0) -> None:
        super().__init__(weight)
        self.embed_student = nn.Linear(pair.student_channels[-1], _CHANNELS)
        self.embed_teacher = nn.Linear(pair.teacher_channels[-1], _CHANNELS)

    def losses(self, student: View, teacher: View) -> dict[str, Tensor]:
        ours = self.embed_student(student.pooled)
        theirs = self.embed_teacher(teacher.pooled.detach())
        return dict(loss=neighbor_loss(ours, theirs))
