"""MobileNetV2 of half width for 32x32 images."""

import torch.nn as nn
from mmdet.registry import MODELS
from torch import Tensor

from .layers import conv, conv_bn_relu, initialize_convs, initialize_linear

_STEM = 16
_STAGES = (
    (1, 8, 1, 1),
    (6, 12, 2, 1),
    (6, 16, 3, 2),
    (6, 32, 4, 2),
    (6, 48, 3, 1),
    (6, 80, 3, 2),
    (6, 160, 1, 1),
)
"""Expansion, channels, number of blocks and stride of each stage."""
_LAST = 1280


class InvertedResidual(nn.Module):
    """1x1 expansion, depthwise 3x3, linear 1x1, and a shortcut if the shapes agree.

    Unlike in torchvision, a block with expansion 1 also has its 1x1 convolution.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, expansion: int
    ) -> None:
        super().__init__()
        channels = expansion * in_channels
        self.has_shortcut = stride == 1 and in_channels == out_channels
        self.conv = nn.Sequential(
            *conv_bn_relu(in_channels, channels, 1),
            *conv_bn_relu(channels, channels, 3, stride, groups=channels),
            conv(channels, out_channels, 1),
            nn.BatchNorm2d(out_channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.has_shortcut else self.conv(x)


@MODELS.register_module()
class CifarMobileNetV2(nn.Module):
    """MobileNetV2 (arXiv 1801.04381) of width 0.5 for 32x32 images.

    In contrast to the ImageNet network, the second stage has stride 1 and ReLU is not
    capped at 6. The keys of its state dict are those of CRD's ``MobileNetV2``.

    Args:
        num_classes (int): Number of logits.

    Examples:
        >>> network = MODELS.build(dict(type='CifarMobileNetV2', num_classes=100))
        >>> network(torch.rand(2, 3, 32, 32)).shape
        torch.Size([2, 100])
    """

    def __init__(self, num_classes: int = 100) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(*conv_bn_relu(3, _STEM, 3, stride=2))
        self.blocks = nn.Sequential()
        in_channels = _STEM
        for expansion, channels, blocks, stride in _STAGES:
            stage = nn.Sequential()
            for block in range(blocks):
                stage.append(
                    InvertedResidual(
                        in_channels, channels, stride if block == 0 else 1, expansion
                    )
                )
                in_channels = channels
            self.blocks.append(stage)
        self.conv2 = nn.Sequential(*conv_bn_relu(in_channels, _LAST, 1))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        linear = nn.Linear(_LAST, num_classes)
        self.classifier = nn.Sequential(linear)
        initialize_convs(self)
        initialize_linear(linear)

    @property
    def levels_after(self) -> tuple[str, ...]:
        """Last stages of size 16x16 to 2x2, and the pooled vector.

        The stages end without an activation, so ``levels_before`` are the same.
        """
        return 'blocks.1', 'blocks.2', 'blocks.4', 'blocks.6', 'avgpool'

    levels_before = levels_after

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits, (N, num_classes), from images, (N, 3, 32, 32)."""
        x = self.conv2(self.blocks(self.conv1(x)))
        return self.classifier(self.avgpool(x).flatten(1))
