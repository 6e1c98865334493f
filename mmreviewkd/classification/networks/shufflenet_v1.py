"""ShuffleNetV1 for 32x32 images."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor

from .layers import channel_shuffle, conv

_GROUPS = 3
_STEM = 24
_WIDTHS = (240, 480, 960)
_BLOCKS = (4, 8, 4)


class ShuffleUnit(nn.Module):
    """Grouped 1x1, depthwise 3x3 and grouped 1x1 convolution.

    Args:
        in_channels (int): Channels of the input.
        out_channels (int): Channels of the output.
        stride (int): With stride 2, the average-pooled input is concatenated to the
            output; with stride 1, the input is added.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        if stride == 2:
            out_channels -= in_channels
        channels = out_channels // 4
        # the stem's output has too few channels for groups
        self.groups = 1 if in_channels == _STEM else _GROUPS
        self.conv1 = conv(in_channels, channels, 1, groups=self.groups)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU()
        self.conv2 = conv(channels, channels, 3, stride, groups=channels)
        self.bn2 = nn.BatchNorm2d(channels)
        # CRD has a ReLU here, unlike arXiv 1707.01083
        self.relu2 = nn.ReLU()
        self.conv3 = conv(channels, out_channels, 1, groups=_GROUPS)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu3 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        branch = self.relu1(self.bn1(self.conv1(x)))
        branch = channel_shuffle(branch, self.groups)
        branch = self.relu2(self.bn2(self.conv2(branch)))
        branch = self.bn3(self.conv3(branch))
        if self.stride == 2:
            x = F.avg_pool2d(x, 3, stride=2, padding=1)
            return self.relu3(torch.cat([branch, x], dim=1))
        return self.relu3(branch + x)


@MODELS.register_module()
class CifarShuffleNetV1(nn.Module):
    """ShuffleNetV1 with 3 groups (arXiv 1707.01083) for 32x32 images.

    The stem is a 1x1 convolution of stride 1. The keys of its state dict are those of
    CRD's ``ShuffleV1``.

    Args:
        num_classes (int): Number of logits.

    Examples:
        >>> network = MODELS.build(dict(type='CifarShuffleNetV1', num_classes=100))
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
        self.relu = nn.ReLU()
        in_channels = _STEM
        for stage, (width, blocks) in enumerate(zip(_WIDTHS, _BLOCKS), 1):
            units = [ShuffleUnit(in_channels, width, stride=2)]
            units += [ShuffleUnit(width, width, 1) for _ in range(blocks - 1)]
            self.add_module(f'layer{stage}', nn.Sequential(*units))
            in_channels = width
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(in_channels, num_classes)

    @property
    def levels_after(self) -> tuple[str, ...]:
        """Outputs of the stages, of size 16x16 to 4x4, and the pooled vector."""
        return 'layer1', 'layer2', 'layer3', 'avgpool'

    @property
    def levels_before(self) -> tuple[str, ...]:
        """Inputs of the stages' last ReLUs, and the pooled vector."""
        return (
            *(
                f'layer{stage}.{blocks - 1}.relu3.input'
                for stage, blocks in enumerate(_BLOCKS, 1)
            ),
            'avgpool',
        )

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits, (N, num_classes), from images, (N, 3, 32, 32)."""
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(self.avgpool(x).flatten(1))
