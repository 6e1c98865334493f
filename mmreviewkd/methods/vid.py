"""Variational information distillation (Ahn et al., arXiv 1904.05835)."""

from __future__ import annotations

import math

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor

from ..compat.precision import in_float32
from .align import total
from .checks import need_maps
from .method import Pair, TrainedMethod, View

_FIRST_VARIANCE = 5.0
_LEAST_VARIANCE = 1e-5


def information_loss(mean: Tensor, teacher: Tensor, variance: Tensor) -> Tensor:
    """Negative log-likelihood of the teacher's feature, up to a constant.

    The feature is taken as normal, with a mean at each cell and a variance of each
    channel. The likelihood is a bound of the information that the student has of it.

    Args:
        mean (Tensor): Mean that the student predicts, (N, C, H, W).
        teacher (Tensor): Teacher feature, (N, C, H, W); gets no gradient.
        variance (Tensor): Variance, (C, ).

    Returns:
        Tensor: Scalar, the mean over all elements.
    """
    squares = (in_float32(mean) - in_float32(teacher.detach())).square()
    variance = in_float32(variance).view(1, -1, 1, 1)
    return (squares / variance + variance.log()).mean() / 2


class Prediction(nn.Module):
    """A normal distribution of the teacher's feature, predicted from the student's.

    Args:
        in_channels (int): Channels of the student.
        out_channels (int): Channels of the teacher.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.mean = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(out_channels, out_channels, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(out_channels, out_channels, 1, bias=False),
        )
        rho = math.log(math.expm1(_FIRST_VARIANCE - _LEAST_VARIANCE))
        self.rho = nn.Parameter(torch.full((out_channels,), rho))

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Compute :func:`information_loss`; a larger map is average pooled."""
        height, width = map(min, student.shape[2:], teacher.shape[2:])
        student, teacher = (
            F.adaptive_avg_pool2d(feature, (height, width))
            for feature in (student, teacher)
        )
        variance = F.softplus(in_float32(self.rho)) + _LEAST_VARIANCE
        return information_loss(self.mean(student), teacher, variance)


@MODELS.register_module()
class VID(TrainedMethod):
    """:func:`information_loss` of all stages, summed; published with weight 1.

    A network of three 1x1 convolutions predicts the mean, and the variance is trained
    with it, as in the paper and in CRD's benchmark; mdistiller leaves it at its first
    value, 5. A classifier's pooled vector takes no part.

    Args:
        pair (Pair): The student and the teacher.
        weight (float): Weight of the loss.

    Raises:
        UserInputError: No level is a map.

    Examples:
        >>> method = VID(Pair(['a'], [8], [32], maps=[0]), weight=1.0)
        >>> student = View(features=[torch.rand(2, 8, 4, 4)])
        >>> teacher = View(features=[torch.rand(2, 32, 4, 4)])
        >>> method.losses(student, teacher)['loss'].shape
        torch.Size([])
    """

    def __init__(self, pair: Pair, weight: float = 1.0) -> None:
        super().__init__(weight)
        self.maps = need_maps('VID', pair)
        self.predictions = nn.ModuleList(
            Prediction(pair.student_channels[level], pair.teacher_channels[level])
            for level in self.maps
        )

    def losses(self, student: View, teacher: View) -> dict[str, Tensor]:
        return dict(
            loss=total(
                predict(student.features[level], teacher.features[level])
                for level, predict in zip(self.maps, self.predictions)
            )
        )
