"""Masked generative distillation, MGD (Yang et al., arXiv 2205.01529)."""

from __future__ import annotations

import torch
import torch.nn as nn
from mmdet.registry import MODELS
from torch import Tensor

from ..errors import UserInputError
from .align import AlignedMethod, squared_error, total
from .checks import check_numbers
from .method import Pair, View


def masked(feature: Tensor, ratio: float) -> Tensor:
    """Set random cells of each image to zero, in all channels.

    Args:
        feature (Tensor): Feature, (N, C, H, W).
        ratio (float): Probability of a cell to be set to zero.

    Returns:
        Tensor: Feature of the same shape. The cells come from torch's global
        generator, whose state is part of a checkpoint, so that a resumed run draws
        what the other would have drawn.
    """
    images, _, height, width = feature.shape
    drawn = torch.rand(images, 1, height, width, device=feature.device)
    return feature * (drawn >= ratio)


@MODELS.register_module()
class MGD(AlignedMethod):
    """The student's feature, masked, has to generate the teacher's whole feature.

    ``sum((generate(masked(student)) - teacher)^2) / N``, summed over the levels, with
    ``generate`` a 3x3 convolution, ReLU and another 3x3 convolution in the teacher's
    channels (arXiv 2205.01529).

    Published for one-stage detectors on all levels with weight 2e-5 and mask ratio
    0.65, for two-stage ones on strides 4 to 32 with weight 5e-7 and mask ratio 0.45;
    gradients are clipped to norm 35. The squares are summed over channels and cells,
    as published, not averaged: the weights are for 256 channels and images of about
    800x1333 pixels, and for others the loss has another size beside the student's
    own. They are summed in float32.

    Args:
        pair (Pair): The student and the teacher.
        weight (float): Weight of the loss, the paper's alpha.
        mask_ratio (float): Probability of a cell to be masked, the paper's lambda.

    Raises:
        UserInputError: ``mask_ratio`` is not from 0 to below 1.

    Examples:
        >>> method = MGD(Pair(['a'], [8], [32]))
        >>> student = View(features=[torch.rand(2, 8, 16, 16)])
        >>> teacher = View(features=[torch.rand(2, 32, 16, 16)])
        >>> method.losses(student, teacher)['loss'].shape
        torch.Size([])
    """

    def __init__(
        self,
        pair: Pair,
        weight: float = 1.0,
        mask_ratio: float = 0.65,
    ) -> None:
        super().__init__(pair, weight)
        check_numbers('MGD', above=False, mask_ratio=mask_ratio)
        if mask_ratio >= 1:
            raise UserInputError(
                f'MGD(mask_ratio={mask_ratio}): must be below 1, or nothing is left of '
                'the student'
            )
        self.mask_ratio = mask_ratio
        self.generate = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, channels, 3, padding=1),
                nn.ReLU(),
                nn.Conv2d(channels, channels, 3, padding=1),
            )
            for channels in pair.teacher_channels
        )

    def losses(self, student: View, teacher: View) -> dict[str, Tensor]:
        levels = zip(self.generate, self.aligned(student, teacher))
        return dict(
            loss=total(
                squared_error(generate(masked(ours, self.mask_ratio)), theirs)
                for generate, (ours, theirs) in levels
            )
        )
