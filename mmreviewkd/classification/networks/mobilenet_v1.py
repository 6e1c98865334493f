"""MobileNetV1 for ImageNet, which torchvision does not have."""

import torch.nn as nn
from mmdet.registry import MODELS
from torch import Tensor

from .layers import conv_bn_relu

_BLOCKS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *[(512, 1)] * 5,
    (1024, 2),
    (1024, 1),
)
"""Output channels and stride of each depthwise separable convolution."""


@MODELS.register_module()
class MobileNetV1(nn.Module):
    """MobileNetV1 1.0 (arXiv 1704.04861).

    The keys of its state dict are those of the checkpoint that distillation papers
    use, ``model.0.0.weight`` to ``fc.bias``.

    Args:
        num_classes (int): Number of logits.

    Examples:
        >>> network = MODELS.build(dict(type='MobileNetV1', num_classes=10))
        >>> network(torch.rand(2, 3, 224, 224)).shape
        torch.Size([2, 10])
    """

    def __init__(self, num_classes: int = 1000) -> None:
        super().__init__()
        self.model = nn.Sequential(nn.Sequential(*conv_bn_relu(3, 32, 3, stride=2)))
        in_channels = 32
        for channels, stride in _BLOCKS:
            self.model.append(
                nn.Sequential(
                    *conv_bn_relu(in_channels, in_channels, 3, stride, in_channels),
                    *conv_bn_relu(in_channels, channels, 1),
                )
            )
            in_channels = channels
        self.model.append(nn.AdaptiveAvgPool2d(1))
        self.fc = nn.Linear(in_channels, num_classes)

    @property
    def levels_after(self) -> tuple[str, ...]:
        """Last blocks of stride 4, 8, 16 and 32, and the pooled vector."""
        return 'model.3', 'model.5', 'model.11', 'model.13', 'model.14'

    @property
    def levels_before(self) -> tuple[str, ...]:
        """Inputs of the last ReLUs of the same blocks, and the pooled vector."""
        return (
            *(f'{name}.5.input' for name in self.levels_after[:-1]),
            self.levels_after[-1],
        )

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits, (N, num_classes), from images, (N, 3, H, W)."""
        return self.fc(self.model(x).flatten(1))
