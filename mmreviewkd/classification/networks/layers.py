"""What several of the networks are made of."""

import torch.nn as nn
from torch import Tensor


def conv(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    stride: int = 1,
    groups: int = 1,
) -> nn.Conv2d:
    """A convolution without bias that keeps the size but for its stride."""
    return nn.Conv2d(
        in_channels,
        out_channels,
        kernel_size,
        stride,
        padding=kernel_size // 2,
        groups=groups,
        bias=False,
    )


def conv_bn_relu(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    stride: int = 1,
    groups: int = 1,
) -> list[nn.Module]:
    """Three layers for an ``nn.Sequential``."""
    return [
        conv(in_channels, out_channels, kernel_size, stride, groups),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    ]


def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    """Deal channels out like cards: one of each group in turn.

    Args:
        x (Tensor): (N, C, H, W), C divisible by ``groups``.
        groups (int): Runs of adjacent channels that are mixed.

    Returns:
        Tensor: (N, C, H, W).
    """
    return x.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2)


def initialize_convs(network: nn.Module) -> None:
    """He initialisation by fan-out (arXiv 1502.01852), as published."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode='fan_out', nonlinearity='relu')
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def initialize_linear(linear: nn.Linear) -> None:
    """The small weights that VGG and MobileNetV2 start from."""
    nn.init.normal_(linear.weight, std=0.01)
    nn.init.zeros_(linear.bias)
