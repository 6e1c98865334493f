"""Layers and initialisation that several networks share."""

import torch.nn as nn
from torch import Tensor


def conv(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    stride: int = 1,
    groups: int = 1,
) -> nn.Conv2d:
    """Convolution without bias, padded so that only the stride changes the size."""
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
    """Convolution, BatchNorm and ReLU, as a list for an ``nn.Sequential``."""
    return [
        conv(in_channels, out_channels, kernel_size, stride, groups),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    ]


def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    """Reorder channels so that each group contributes one channel in turn.

    Args:
        x (Tensor): Feature, (N, C, H, W), with C divisible by ``groups``.
        groups (int): Number of groups of adjacent channels to mix.

    Returns:
        Tensor: (N, C, H, W).
    """
    return x.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2)


def initialize_convs(network: nn.Module) -> None:
    """Use He's initialisation by fan-out (arXiv 1502.01852), as published."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode='fan_out', nonlinearity='relu')
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def initialize_linear(linear: nn.Linear) -> None:
    """Initialise a linear layer with the small weights of VGG and MobileNetV2."""
    nn.init.normal_(linear.weight, std=0.01)
    nn.init.zeros_(linear.bias)
