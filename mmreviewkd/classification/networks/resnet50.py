"""ResNet-50 for 32x32 images."""

import torch.nn as nn
from mmdet.registry import MODELS
from torch import Tensor

from .layers import conv, initialize_convs

_BLOCKS = (3, 4, 6, 3)


class Bottleneck(nn.Module):
    """A 1x1, a 3x3 and a 1x1 convolution, and a shortcut."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        out_channels = 4 * channels
        self.conv1 = conv(in_channels, channels, 1)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU()
        self.conv2 = conv(channels, channels, 3, stride)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu2 = nn.ReLU()
        self.conv3 = conv(channels, out_channels, 1)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu3 = nn.ReLU()
        self.shortcut = nn.Sequential()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                conv(in_channels, out_channels, 1, stride), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = self.shortcut(x)
        x = self.relu1(self.bn1(self.conv1(x)))
        x = self.relu2(self.bn2(self.conv2(x)))
        return self.relu3(self.bn3(self.conv3(x)) + shortcut)


@MODELS.register_module()
class CifarResNet50(nn.Module):
    """ResNet-50 for 32x32 images: a 3x3 stem of stride 1, no max-pooling.

    The keys of its state dict are those of the public CRD teacher ``ResNet50``, which
    differ from those of CRD's smaller ResNets.

    Args:
        num_classes (int): Number of logits.

    Examples:
        >>> network = MODELS.build(dict(type='CifarResNet50', num_classes=100))
        >>> network(torch.rand(2, 3, 32, 32)).shape
        torch.Size([2, 100])
    """

    layer1: nn.Sequential
    layer2: nn.Sequential
    layer3: nn.Sequential
    layer4: nn.Sequential

    def __init__(self, num_classes: int = 100) -> None:
        super().__init__()
        self.conv1 = conv(3, 64, 3)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU()
        in_channels = 64
        for stage, blocks in enumerate(_BLOCKS):
            channels = 64 * 2**stage
            layer = nn.Sequential()
            for block in range(blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                layer.append(Bottleneck(in_channels, channels, stride))
                in_channels = 4 * channels
            self.add_module(f'layer{stage + 1}', layer)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(in_channels, num_classes)
        initialize_convs(self)

    @property
    def levels_after(self) -> tuple[str, ...]:
        """Outputs of the stages, of size 32x32 to 4x4, and the pooled vector."""
        return 'layer1', 'layer2', 'layer3', 'layer4', 'avgpool'

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
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.linear(self.avgpool(x).flatten(1))
