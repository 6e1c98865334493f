"""Targets without the scale of the teacher that they come from."""

from __future__ import annotations

import torch
import torch.nn as nn
from mmengine.dist import all_reduce
from torch import Tensor

from ...compat.precision import in_float32

_FLOOR = 1e-2


class Standardize(nn.Module):
    """Subtract each channel's mean and divide by its standard deviation.

    Mean and variance are the means of those batches that it was updated with, in all
    processes. A channel that hardly varies is not divided by less than a tenth of the
    level's root mean variance.

    Args:
        channels (int): Number of channels.

    Examples:
        >>> standardize = Standardize(2)
        >>> x = torch.randn(4, 2, 8, 8)
        >>> standardize.update(10 * x + 3)
        >>> result = standardize(10 * x + 3)
        >>> torch.allclose(result.mean((0, 2, 3)), torch.zeros(2), atol=1e-5)
        True
    """

    mean: Tensor
    square: Tensor
    batches: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer('mean', torch.zeros(channels))
        self.register_buffer('square', torch.zeros(channels))
        self.register_buffer('batches', torch.tensor(0.0))

    @torch.no_grad()
    def update(self, feature: Tensor, anew: bool = False) -> None:
        """Take a batch's feature into mean and variance.

        Args:
            feature (Tensor): Feature, (N, C, H, W).
            anew (bool): Whether to forget the batches before.
        """
        feature = in_float32(feature)
        if anew:
            self.batches.zero_()
        self.batches += 1
        moments = torch.stack([feature, feature.square()]).mean((1, 3, 4)).float()
        all_reduce(moments, 'mean')  # in place
        for known, new in zip((self.mean, self.square), moments):
            known += (new - known) / self.batches

    @torch.no_grad()
    def forward(self, feature: Tensor) -> Tensor:
        """Standardize a feature, (N, C, H, W), in float32 or float64."""
        feature = in_float32(feature)
        variance = (self.square - self.mean.square()).clamp(min=0)
        # differences below a ten thousandth of the feature's size are rounding
        floor = _FLOOR * variance.mean() + 1e-8 * self.square.mean()
        deviation = (variance + floor).sqrt().clamp(min=torch.finfo(floor.dtype).tiny)
        # in a warm-up, pictures are drawn before anything was learned from
        deviation = torch.where(self.batches > 0, deviation, torch.ones_like(deviation))
        shift, scale = (
            each.to(feature)[:, None, None] for each in (self.mean, deviation)
        )
        return (feature - shift).div_(scale)
