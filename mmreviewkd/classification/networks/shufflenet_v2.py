"""ShuffleNetV2 for 32x32 images."""

import torch
import torch.nn as nn
from mmdet.registry import MODELS
from torch import Tensor

from .layers import channel_shuffle, conv

_STEM = 24
_WIDTHS = (116, 232, 464)
_BLOCKS = (4, 8, 4)
_LAST = 1024


class ShuffleUnit(nn.Module):
    """Unit that transforms one half of the channels and keeps the other."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv1 = conv(half, half, 1)
        self.bn1 = nn.BatchNorm2d(half)
        self.relu1 = nn.ReLU()
        self.conv2 = conv(half, half, 3, groups=half)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv3 = conv(half, half, 1)
        self.bn3 = nn.BatchNorm2d(half)
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        kept, branch = x.chunk(2, dim=1)
        branch = self.relu1(self.bn1(self.conv1(branch)))
        branch = self.bn2(self.conv2(branch))
        branch = self.bn3(self.conv3(branch))
        # The kept half has passed a ReLU before, so a second one does not change
        # it. This way the whole feature before the activation is one tensor.
        x = self.relu2(torch.cat([kept, branch], dim=1))
        return channel_shuffle(x, 2)


class DownsamplingUnit(nn.Module):
    """Unit with two branches that both take the whole input, and halve the size."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        half = out_channels // 2
        # left branch
        self.conv1 = conv(in_channels, in_channels, 3, 2, groups=in_channels)
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv2 = conv(in_channels, half, 1)
        self.bn2 = nn.BatchNorm2d(half)
        # right branch
        self.conv3 = conv(in_channels, half, 1)
        self.bn3 = nn.BatchNorm2d(half)
        self.relu1 = nn.ReLU()
        self.conv4 = conv(half, half, 3, 2, groups=half)
        self.bn4 = nn.BatchNorm2d(half)
        self.conv5 = conv(half, half, 1)
        self.bn5 = nn.BatchNorm2d(half)
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        left = self.bn1(self.conv1(x))
        left = self.bn2(self.conv2(left))
        right = self.relu1(self.bn3(self.conv3(x)))
        right = self.bn4(self.conv4(right))
        right = self.bn5(self.conv5(right))
        x = self.relu2(torch.cat([left, right], dim=1))
        return channel_shuffle(x, 2)


@MODELS.register_module()
class CifarShuffleNetV2(nn.Module):
    """ShuffleNetV2 1x (arXiv 1807.11164) for 32x32 images.

    The stem is a 1x1 convolution of stride 1. The keys of its state dict are those of
    CRD's ``ShuffleV2``.

    Args:
        num_classes (int): Number of logits.

    Examples:
        >>> network = MODELS.build(dict(type='CifarShuffleNetV2', num_classes=100))
        >>> network(torch.rand(2, 3, 32, 32)).shape
        torch.Size([2, 100])
    """

    layer1: nn.Sequential
    layer2: nn.Sequential
    layer3: nn.Sequential

    def __init__(self, num_classes: int = 100) -> None:
        super().__init__()
        self.conv1 = conv(3, _STEM, 1)
        self.bn1 = nn.BatchNorm2d(_STEM)
        self.relu1 = nn.ReLU()
        in_channels = _STEM
        for stage, (width, blocks) in enumerate(zip(_WIDTHS, _BLOCKS), 1):
            units: list[nn.Module] = [DownsamplingUnit(in_channels, width)]
            units += [ShuffleUnit(width) for _ in range(blocks - 1)]
            self.add_module(f'layer{stage}', nn.Sequential(*units))
            in_channels = width
        self.conv2 = conv(in_channels, _LAST, 1)
        self.bn2 = nn.BatchNorm2d(_LAST)
        self.relu2 = nn.ReLU()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(_LAST, num_classes)

    @property
    def levels_after(self) -> tuple[str, ...]:
        """Outputs of the stages, of size 16x16 to 4x4, and the pooled vector."""
        return 'layer1', 'layer2', 'layer3', 'avgpool'

    @property
    def levels_before(self) -> tuple[str, ...]:
        """Inputs of the stages' last ReLUs (unshuffled), and the pooled vector."""
        return (
            *(
                f'layer{stage}.{blocks - 1}.relu2.input'
                for stage, blocks in enumerate(_BLOCKS, 1)
            ),
            'avgpool',
        )

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits, (N, num_classes), from images, (N, 3, 32, 32)."""
        x = self.relu1(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        x = self.relu2(self.bn2(self.conv2(x)))
        return self.linear(self.avgpool(x).flatten(1))
