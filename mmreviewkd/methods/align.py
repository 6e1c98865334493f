"""What methods have in common that compare a student's level with a teacher's."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from ..compat.precision import in_float32
from .method import Pair, TrainedMethod, View


class AlignedMethod(TrainedMethod):
    """Base class of methods that compare level with level, as the teacher has them.

    Where the channels differ, the student's feature goes through a 1x1 convolution
    that is trained with it; where they agree, it is compared as it is, and there is
    nothing to train. Where the sizes differ, as with a teacher of larger images, it
    is resized bilinearly to the teacher's.

    Args:
        pair (Pair): The student and the teacher.
        weight (float): Weight of the loss.

    Attributes:
        aligns_equal (bool): Whether there is a convolution also where the channels
            agree.
    """

    aligns_equal = False

    def __init__(self, pair: Pair, weight: float = 1.0) -> None:
        super().__init__(weight)
        self.align = nn.ModuleList(
            nn.Conv2d(ours, theirs, 1)
            if self.aligns_equal or ours != theirs
            else nn.Identity()
            for ours, theirs in zip(pair.student_channels, pair.teacher_channels)
        )

    def aligned(self, student: View, teacher: View) -> list[tuple[Tensor, Tensor]]:
        """Return the two features of each level, of one shape, shallow to deep."""
        levels = zip(self.align, student.features, teacher.features)
        return [
            (resized(align(ours), theirs), theirs.detach())
            for align, ours, theirs in levels
        ]


def resized(feature: Tensor, like: Tensor) -> Tensor:
    """Resize a feature bilinearly to another's height and width, if they differ."""
    size = like.shape[2:]
    if feature.shape[2:] == size:
        return feature
    return F.interpolate(feature, size, mode='bilinear')


def squared_error(student: Tensor, teacher: Tensor) -> Tensor:
    """Sum of the squared differences of two features, divided by the images.

    Args:
        student (Tensor): Feature, (N, C, H, W).
        teacher (Tensor): Feature of the same shape.

    Returns:
        Tensor: Scalar. It grows with the size of the feature: it is no mean.
    """
    return (in_float32(student) - in_float32(teacher)).square().sum() / len(student)


def total(levels: Iterable[Tensor]) -> Tensor:
    """Return the sum of the levels' losses."""
    return torch.stack(list(levels)).sum()
