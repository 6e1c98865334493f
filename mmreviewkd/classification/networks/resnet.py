"""ResNet of depth 6n + 2 for 32x32 images."""

from collections.abc import Sequence

import torch.nn as nn
from mmdet.registry import MODELS
from torch import Tensor

from ...errors import UserInputError
from .layers import conv, initialize_convs


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = conv(in_channels, channels, 3, stride)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU()
        self.conv2 = conv(channels, channels, 3)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu2 = nn.ReLU()
        self.downsample = None
        if stride != 1 or in_channels != channels:
            self.downsample = nn.Sequential(
                conv(in_channels, channels, 1, stride), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu1(self.bn1(self.conv1(x)))
        return self.relu2(self.bn2(self.conv2(x)) + shortcut)


@MODELS.register_module()
class CifarResNet(nn.Module):
    """ResNet of depth 6n + 2 for 32x32 images (arXiv 1512.03385, section 4.2).

    The keys of its state dict are those of the public CRD teachers' ``resnet*``.

    Args:
        depth (int): 8, 14, 20, 32, 44, 56, 110, ...
        widths (Sequence[int]): Channels of the stem and of the three stages.
            The networks named ``x4`` have ``(32, 64, 128, 256)``.
        num_classes (int): Number of logits.

    Examples:
        >>> network = MODELS.build(dict(type='CifarResNet', depth=8, num_classes=100))
        >>> network(torch.rand(2, 3, 32, 32)).shape
        torch.Size([2, 100])
        >>> network.levels_after
        ('layer1', 'layer2', 'layer3', 'avgpool')
    """

    def __init__(
        self,
        depth: int,
        widths: Sequence[int] = (16, 16, 32, 64),
        num_classes: int = 100,
    ) -> None:
        super().__init__()
        if depth < 8 or depth % 6 != 2:
            raise UserInputError(
                f'CifarResNet has depth 6n + 2 (8, 14, 20, ...), not {depth}'
            )
        self.depth = depth
        self.conv1 = conv(3, widths[0], 3)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.relu = nn.ReLU()
        self.layer1 = self._stage(widths[0], widths[1], stride=1)
        self.layer2 = self._stage(widths[1], widths[2], stride=2)
        self.layer3 = self._stage(widths[2], widths[3], stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(widths[3], num_classes)
        initialize_convs(self)

    @property
    def levels_after(self) -> tuple[str, ...]:
        """Outputs of the stages, of size 32x32 to 8x8, and the pooled vector."""
        return 'layer1', 'layer2', 'layer3', 'avgpool'

    @property
    def levels_before(self) -> tuple[str, ...]:
        """Inputs of the stages' last ReLUs, and the pooled vector."""
        last = self._blocks - 1
        return (
            f'layer1.{last}.relu2.input',
            f'layer2.{last}.relu2.input',
            f'layer3.{last}.relu2.input',
            'avgpool',
        )

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits, (N, num_classes), from images, (N, 3, 32, 32)."""
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(self.avgpool(x).flatten(1))

    @property
    def _blocks(self) -> int:
        return (self.depth - 2) // 6

    def _stage(self, in_channels: int, channels: int, stride: int) -> nn.Sequential:
        return nn.Sequential(
            BasicBlock(in_channels, channels, stride),
            *(BasicBlock(channels, channels, 1) for _ in range(self._blocks - 1)),
        )
