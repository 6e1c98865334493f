"""Wide residual network of depth 6n + 4 for 32x32 images."""

import torch.nn as nn
from mmdet.registry import MODELS
from torch import Tensor

from ...errors import UserInputError
from .layers import conv, initialize_convs


class PreActivationBlock(nn.Module):
    """Two 3x3 convolutions, each after a BatchNorm and a ReLU, and a shortcut.

    The block returns the sum, which the next block normalises.
    """

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.relu1 = nn.ReLU()
        self.conv1 = conv(in_channels, channels, 3, stride)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu2 = nn.ReLU()
        self.conv2 = conv(channels, channels, 3)
        # named as in the public checkpoints
        self.convShortcut = None
        if in_channels != channels:
            self.convShortcut = conv(in_channels, channels, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        activated = self.relu1(self.bn1(x))
        if self.convShortcut is not None:
            x = self.convShortcut(activated)
        activated = self.relu2(self.bn2(self.conv1(activated)))
        return x + self.conv2(activated)


class Stage(nn.Module):
    """Blocks of one size; named ``layer`` as in the public checkpoints."""

    def __init__(
        self, blocks: int, in_channels: int, channels: int, stride: int
    ) -> None:
        super().__init__()
        self.layer = nn.Sequential(
            PreActivationBlock(in_channels, channels, stride),
            *(PreActivationBlock(channels, channels, 1) for _ in range(blocks - 1)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


@MODELS.register_module()
class CifarWideResNet(nn.Module):
    """Wide residual network for 32x32 images (arXiv 1605.07146).

    The keys of its state dict are those of the public CRD teachers' ``wrn_*``.

    Args:
        depth (int): 16, 40 or another 6n + 4.
        widen_factor (int): Factor on the 16, 32 and 64 channels of the three stages.
        num_classes (int): Number of logits.

    Examples:
        >>> network = MODELS.build(
        ...     dict(type='CifarWideResNet', depth=16, widen_factor=2)
        ... )
        >>> network(torch.rand(2, 3, 32, 32)).shape
        torch.Size([2, 100])
    """

    def __init__(
        self, depth: int, widen_factor: int = 1, num_classes: int = 100
    ) -> None:
        super().__init__()
        if depth < 10 or depth % 6 != 4:
            raise UserInputError(
                f'CifarWideResNet has depth 6n + 4 (16, 22, 28, ...), not {depth}'
            )
        blocks = (depth - 4) // 6
        widths = [widen_factor * width for width in (16, 32, 64)]
        self.conv1 = conv(3, 16, 3)
        self.block1 = Stage(blocks, 16, widths[0], stride=1)
        self.block2 = Stage(blocks, widths[0], widths[1], stride=2)
        self.block3 = Stage(blocks, widths[1], widths[2], stride=2)
        self.bn1 = nn.BatchNorm2d(widths[2])
        self.relu = nn.ReLU()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(widths[2], num_classes)
        initialize_convs(self)
        nn.init.zeros_(self.fc.bias)

    @property
    def levels_after(self) -> tuple[str, ...]:
        """Outputs of the stages, of size 32x32 to 8x8, and the pooled vector.

        These are the published student features, sums without an activation.
        """
        return 'block1', 'block2', 'block3', 'avgpool'

    @property
    def levels_before(self) -> tuple[str, ...]:
        """Outputs of the stages after the next BatchNorm, and the pooled vector."""
        return 'block2.layer.0.bn1', 'block3.layer.0.bn1', 'bn1', 'avgpool'

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits, (N, num_classes), from images, (N, 3, 32, 32)."""
        x = self.block3(self.block2(self.block1(self.conv1(x))))
        return self.fc(self.avgpool(self.relu(self.bn1(x))).flatten(1))
