"""Hints of FitNets (Romero et al., arXiv 1412.6550)."""

from __future__ import annotations

import torch.nn as nn
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor

from ..compat.precision import in_float32
from ..errors import UserInputError
from .method import Pair, TrainedMethod, View


def hint_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of two features (arXiv 1412.6550).

    Args:
        student (Tensor): Student feature, (N, C, H, W), as the regressor returns it.
        teacher (Tensor): Teacher feature, (N, C, H, W); gets no gradient.

    Returns:
        Tensor: Scalar, the mean over all elements.
    """
    return F.mse_loss(in_float32(student), in_float32(teacher.detach()))


def regressor(
    channels: tuple[int, int], strides: tuple[int, int]
) -> nn.Sequential | None:
    """Build the layer that gives a feature the teacher's channels and size.

    A convolution, which may halve or double the size, with BatchNorm and ReLU.

    Args:
        channels (tuple[int, int]): Channels of the student and of the teacher.
        strides (tuple[int, int]): Strides of the student and of the teacher.

    Returns:
        nn.Sequential | None: None if the sizes are not equal, half or double.
    """
    convolution: nn.Module
    if strides[0] == strides[1]:
        convolution = nn.Conv2d(*channels, 1)
    elif 2 * strides[0] == strides[1]:
        convolution = nn.Conv2d(*channels, 3, stride=2, padding=1)
    elif strides[0] == 2 * strides[1]:
        convolution = nn.ConvTranspose2d(*channels, 4, stride=2, padding=1)
    else:
        return None
    return nn.Sequential(convolution, nn.BatchNorm2d(channels[1]), nn.ReLU())


@MODELS.register_module()
class FitNet(TrainedMethod):
    """:func:`hint_loss` of one level, behind a trained regressor; weight 100.

    The paper first trains the student up to this level, then the whole student with
    KD. Here both are trained at once, as in CRD's benchmark of CIFAR-100, with its
    weight, level and regressor. Since the regressor ends in a ReLU, the teacher's
    features should be those after the activation.

    Args:
        pair (Pair): The student and the teacher.
        weight (float): Weight of the loss.
        level (int): Index of the level, by default the published second stage.

    Raises:
        UserInputError: There is no map at this level, or the sizes of the two models'
            maps are not equal, half or double.

    Examples:
        >>> pair = Pair(['a', 'b'], [4, 8], [16, 32], [1, 2], [1, 2], maps=[0, 1])
        >>> method = FitNet(pair, weight=100.0)
        >>> student = View(features=[torch.rand(2, 4, 8, 8), torch.rand(2, 8, 4, 4)])
        >>> teacher = View(features=[torch.rand(2, 16, 8, 8), torch.rand(2, 32, 4, 4)])
        >>> method.losses(student, teacher)['loss'].shape
        torch.Size([])
    """

    def __init__(self, pair: Pair, weight: float = 1.0, level: int = 1) -> None:
        super().__init__(weight)
        if level not in pair.maps:
            raise UserInputError(
                f'FitNet(level={level!r}): must be the index of a level that has maps; '
                f'these are {list(pair.maps)}'
            )
        strides = pair.strides[level], pair.teacher_strides[level]
        made = regressor(
            (pair.student_channels[level], pair.teacher_channels[level]), strides
        )
        if made is None:
            raise UserInputError(
                f'FitNet(level={level}): the student has stride {strides[0]} there, '
                f'the teacher {strides[1]}; must be equal, half or double. Choose '
                'another level'
            )
        self.level, self.regressor = level, made

    def losses(self, student: View, teacher: View) -> dict[str, Tensor]:
        feature = self.regressor(student.features[self.level])
        return dict(loss=hint_loss(feature, teacher.features[self.level]))
