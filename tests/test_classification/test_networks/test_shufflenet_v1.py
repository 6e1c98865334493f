"""The CIFAR ShuffleNet V1."""

from tests.support.networks import (
    Published,
    check_forward,
    check_levels,
    check_relu,
    check_size_and_state_dict,
    shuffle,
)

import pytest
import torch
import torch.nn.functional as F

NETWORKS = dict(
    shuffle_v1=Published(
        dict(type='CifarShuffleNetV1'),
        949258,
        296,
        0.95,
        keys=(
            'conv1.weight',
            'layer1.0.conv1.weight',
            'layer2.7.bn3.bias',
            'layer3.3.conv2.weight',
            'linear.weight',
        ),
    )
)
LEVELS = dict(shuffle_v1=((240, 480, 960, 960), (16, 8, 4, 1)))


def forward_shuffle_v1(w, x):
    x = w.conv_bn('conv1', 'bn1', x).relu()
    after, before = [], []
    for stage, blocks in enumerate((4, 8, 4), 1):
        for block in range(blocks):
            name = f'layer{stage}.{block}'
            groups = 1 if stage == 1 and block == 0 else 3
            y = w.conv_bn(f'{name}.conv1', f'{name}.bn1', x, groups=groups)
            y = w.depthwise(
                f'{name}.conv2', shuffle(y.relu(), groups), 1 if block else 2
            )
            y = w.bn(f'{name}.bn2', y).relu()
            y = w.conv_bn(f'{name}.conv3', f'{name}.bn3', y, groups=3)
            y = x + y if block else torch.cat([y, F.avg_pool2d(x, 3, 2, padding=1)], 1)
            x = y.relu()
        before.append(y)
        after.append(x)
    pooled, logits = w.logits('linear', x)
    return logits, [*after, pooled], [*before, pooled]


@pytest.mark.parametrize('name', NETWORKS)
def test_size_and_state_dict(name):
    check_size_and_state_dict(NETWORKS[name])


@pytest.mark.parametrize('name', LEVELS)
def test_levels_of_published_pairs(name):
    check_levels(NETWORKS[name].config, *LEVELS[name])


@pytest.mark.parametrize('name', ['shuffle_v1'])
def test_relu_of_before_is_after(name):
    check_relu(NETWORKS[name].config)


def test_forward_as_written_down():
    check_forward(NETWORKS['shuffle_v1'].config, forward_shuffle_v1)
