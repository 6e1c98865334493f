"""Layers that networks share, and how they are initialised."""

from mmreviewkd.classification.networks.layers import channel_shuffle
from tests.support.networks import build

import torch


def test_initialisation():
    """He by fan-out: variance 2 / (k * k * out); small or default linear."""
    network = build(dict(type='CifarVGG', depth=8))
    weight = network.block3[0].weight
    assert abs(weight.std() / (2 / (9 * 512)) ** 0.5 - 1) < 0.01
    assert not network.block3[0].bias.any()
    assert abs(network.classifier.weight.std() - 0.01) < 1e-3
    assert not build(
        dict(type='CifarWideResNet', depth=16, widen_factor=2)
    ).fc.bias.any()


def test_channel_shuffle():
    """Channels of the groups in turn, each with its own map."""
    x = torch.arange(12.0).view(1, 6, 1, 2)
    assert channel_shuffle(x, 3)[0, :, 0, 0].tolist() == [0, 4, 8, 2, 6, 10]
    assert torch.equal(channel_shuffle(channel_shuffle(x, 3), 2), x)
