"""VGG with BatchNorm for 32x32 images."""

import torch.nn as nn
from mmdet.registry import MODELS
from torch import Tensor

from ...errors import UserInputError
from .layers import initialize_convs, initialize_linear

_CHANNELS = (64, 128, 256, 512, 512)
_CONVS = {
    8: (1, 1, 1, 1, 1),
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
"""Number of convolutions of each stage, by depth.

From arXiv 1409.1556, table 1, except for depth 8.
"""


@MODELS.register_module()
class CifarVGG(nn.Module):
    """VGG with BatchNorm and one fully connected layer, for 32x32 images.

    In contrast to the ImageNet network, the last two stages have the same size, 4x4,
    and the last feature is average pooled. The keys of its state dict are those of the
    public CRD teachers' ``vgg*``.

    Args:
        depth (int): 8, 11, 13, 16 or 19.
        num_classes (int): Number of logits.

    Examples:
        >>> network = MODELS.build(dict(type='CifarVGG', depth=8, num_classes=100))
        >>> network(torch.rand(2, 3, 32, 32)).shape
        torch.Size([2, 100])
    """

    block0: nn.Sequential
    relu0: nn.ReLU
    block1: nn.Sequential
    relu1: nn.ReLU
    block2: nn.Sequential
    relu2: nn.ReLU
    block3: nn.Sequential
    relu3: nn.ReLU
    block4: nn.Sequential
    relu4: nn.ReLU

    def __init__(self, depth: int, num_classes: int = 100) -> None:
        super().__init__()
        if depth not in _CONVS:
            raise UserInputError(
                f'CifarVGG has depth {", ".join(map(str, _CONVS))}, not {depth}'
            )
        in_channels = 3
        for stage, convs in enumerate(_CONVS[depth]):
            layers: list[nn.Module] = []
            for _ in range(convs):
                layers += [
                    nn.Conv2d(in_channels, _CHANNELS[stage], 3, padding=1),
                    nn.BatchNorm2d(_CHANNELS[stage]),
                    nn.ReLU(),
                ]
                in_channels = _CHANNELS[stage]
            # the last ReLU is separate, so that the block's output is the feature
            # before the activation
            self.add_module(f'block{stage}', nn.Sequential(*layers[:-1]))
            self.add_module(f'relu{stage}', layers[-1])
        self.maxpool = nn.MaxPool2d(2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(in_channels, num_classes)
        initialize_convs(self)
        initialize_linear(self.classifier)

    @property
    def levels_after(self) -> tuple[str, ...]:
        """Outputs of the stages, of size 16, 8, 4 and 4, and the pooled vector."""
        return 'relu1', 'relu2', 'relu3', 'relu4', 'avgpool'

    @property
    def levels_before(self) -> tuple[str, ...]:
        """Outputs of the stages without the last ReLU, and the pooled vector."""
        return 'block1', 'block2', 'block3', 'block4', 'avgpool'

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits, (N, num_classes), from images, (N, 3, 32, 32)."""
        x = self.maxpool(self.relu0(self.block0(x)))
        x = self.maxpool(self.relu1(self.block1(x)))
        x = self.maxpool(self.relu2(self.block2(x)))
        x = self.relu3(self.block3(x))
        x = self.relu4(self.block4(x))
        return self.classifier(self.avgpool(x).flatten(1))
