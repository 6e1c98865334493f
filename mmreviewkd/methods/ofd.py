"""A comprehensive overhaul of feature distillation (Heo et al., arXiv 1904.01866)."""

from __future__ import annotations

import math

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor

from ..compat.precision import in_float32
from ..errors import UserInputError
from .align import total
from .checks import need_maps
from .method import Pair, TrainedMethod, View


def margin(weight: Tensor, bias: Tensor) -> Tensor:
    """Mean of the negative values that a BatchNorm puts out (arXiv 1904.01866).

    Its outputs are taken as normal, with the bias as mean and the absolute weight as
    standard deviation s. Where less than 0.1 percent are negative, the margin is -3 s.

    Args:
        weight (Tensor): Weight of the BatchNorm, (C, ).
        bias (Tensor): Bias of the BatchNorm, (C, ).

    Returns:
        Tensor: Margins, (C, ), not above 0.
    """
    deviation, mean = weight.double().abs(), bias.double()
    ratio = mean / deviation
    negative = torch.special.ndtr(-ratio)
    density = (-ratio.square() / 2).exp() / math.sqrt(2 * math.pi)
    expected = mean - deviation * density / negative
    # the comparison is also false for a channel that is 0 everywhere
    return torch.where(negative > 1e-3, expected, -3 * deviation).to(weight.dtype)


def partial_l2(student: Tensor, teacher: Tensor, margins: Tensor) -> Tensor:
    """Squared differences, but where the teacher is inactive and the student lower.

    The teacher's values below the margin are raised to it.

    Args:
        student (Tensor): Student feature, (N, C, H, W).
        teacher (Tensor): Teacher feature before the activation, (N, C, H, W); gets no
            gradient.
        margins (Tensor): Margins of the channels, (C, ), see :func:`margin`.

    Returns:
        Tensor: Scalar, the sum over all elements, divided by N.
    """
    target = in_float32(teacher.detach()).maximum(margins.view(1, -1, 1, 1))
    student = in_float32(student)
    squares = (student - target).square()
    counted = (student > target) | (target > 0)
    return squares.masked_fill(~counted, 0).sum() / len(student)


class Stage(nn.Module):
    """The connector of a stage, and the margins of its teacher.

    Args:
        in_channels (int): Channels of the student.
        norm (tuple[Tensor, Tensor]): Weight and bias of the BatchNorm that the
            teacher's stage ends with, (C, ) each.
    """

    margins: Tensor

    def __init__(self, in_channels: int, norm: tuple[Tensor, Tensor]) -> None:
        super().__init__()
        convolution = nn.Conv2d(in_channels, len(norm[0]), 1, bias=False)
        nn.init.kaiming_normal_(convolution.weight, mode='fan_out')
        self.connector = nn.Sequential(convolution, nn.BatchNorm2d(len(norm[0])))
        # they follow from the teacher, so that no checkpoint needs them
        self.register_buffer('margins', margin(*norm), persistent=False)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Compute :func:`partial_l2`; a larger map of the teacher is average pooled."""
        height, width = student.shape[2:]
        teacher = F.adaptive_avg_pool2d(teacher, (height, width))
        return partial_l2(self.connector(student), teacher, self.margins)


@MODELS.register_module()
class OFD(TrainedMethod):
    """:func:`partial_l2` of all stages, before the activation; weight 0.001.

    The student's features go through a 1x1 convolution with BatchNorm. The deepest
    stage has factor 1, each shallower one half of the next; a classifier's pooled
    vector takes no part.

    Weight 0.001 is the paper's for CIFAR-100, 0.0001 that for ImageNet. The authors'
    code, and mdistiller's, run the teacher's BatchNorms with the statistics of the
    batch, as the configs here do: ``teacher=dict(batch_statistics=True)``.

    Args:
        pair (Pair): The student and the teacher.
        weight (float): Weight of the loss.

    Raises:
        UserInputError: A level of the teacher does not end with a BatchNorm, from
            which its margins follow, or has a smaller map than the student's. Or no
            level is a map.

    Examples:
        >>> norm = torch.ones(32), torch.zeros(32)
        >>> pair = Pair(['a'], [8], [32], [4], [4], [0], [norm])
        >>> method = OFD(pair, weight=0.001)
        >>> student = View(features=[torch.randn(2, 8, 4, 4)])
        >>> teacher = View(features=[torch.randn(2, 32, 4, 4)])
        >>> method.losses(student, teacher)['loss'].shape
        torch.Size([])
    """

    def __init__(self, pair: Pair, weight: float = 1.0) -> None:
        super().__init__(weight)
        self.maps = need_maps('OFD', pair)
        self.stages = nn.ModuleList()
        for level in self.maps:
            norm = pair.teacher_norms[level]
            if norm is None:
                raise UserInputError(
                    f'OFD: {pair.levels[level]} of the teacher does not end with a '
                    'BatchNorm of its channels, from which the margins follow; choose '
                    "other levels, such as teacher=dict(levels='before')"
                )
            if pair.teacher_strides[level] > pair.strides[level]:
                raise UserInputError(
                    f'OFD: {pair.levels[level]} has stride {pair.strides[level]} in '
                    f'the student, {pair.teacher_strides[level]} in the teacher, whose '
                    'maps must not be smaller; choose other levels'
                )
            self.stages.append(Stage(pair.student_channels[level], norm))

    def losses(self, student: View, teacher: View) -> dict[str, Tensor]:
        losses = [
            stage(student.features[level], teacher.features[level])
            for level, stage in zip(self.maps, self.stages)
        ]
        halves = [0.5**k * loss for k, loss in enumerate(reversed(losses))]
        return dict(loss=total(halves))
