"""The CIFAR ShuffleNet V2."""

from tests.support.networks import (
    Published,
    check_forward,
    check_levels,
    check_size_and_state_dict,
    shuffle,
)

import pytest
import torch

NETWORKS = dict(
    shuffle_v2=Published(
        dict(type='CifarShuffleNetV2'),
        1355528,
        338,
        1.36,
        keys=(
            'conv1.weight',
            'layer1.0.conv5.weight',
            'layer1.0.bn5.bias',
            'layer2.7.conv3.weight',
            'conv2.weight',
            'bn2.weight',
            'linear.weight',
        ),
    )
)
LEVELS = dict(shuffle_v2=((116, 232, 464, 1024), (16, 8, 4, 1)))


def forward_shuffle_v2(w, x):
    x = w.conv_bn('conv1', 'bn1', x).relu()
    after, before = [], []
    for stage, blocks in enumerate((4, 8, 4), 1):
        for block in range(blocks):
            name = f'layer{stage}.{block}'
            if block == 0:
                left = w.depthwise(f'{name}.conv1', x, 2)
                left = w.bn(f'{name}.bn1', left)
                left = w.conv_bn(f'{name}.conv2', f'{name}.bn2', left).relu()
                y = w.conv_bn(f'{name}.conv3', f'{name}.bn3', x).relu()
                y = w.bn(f'{name}.bn4', w.depthwise(f'{name}.conv4', y, 2))
                y = w.conv_bn(f'{name}.conv5', f'{name}.bn5', y)
            else:
                half = x.size(1) // 2
                left = x[:, :half]
                y = w.conv_bn(f'{name}.conv1', f'{name}.bn1', x[:, half:])
                y = w.depthwise(f'{name}.conv2', y.relu(), 1)
                y = w.bn(f'{name}.bn2', y)
                y = w.conv_bn(f'{name}.conv3', f'{name}.bn3', y)
            x = shuffle(torch.cat([left, y.relu()], 1), 2)
        before.append(torch.cat([left, y], 1))
        after.append(x)
    x = w.conv_bn('conv2', 'bn2', x).relu()
    pooled, logits = w.logits('linear', x)
    return logits, [*after, pooled], [*before, pooled]


@pytest.mark.parametrize('name', NETWORKS)
def test_size_and_state_dict(name):
    check_size_and_state_dict(NETWORKS[name])


@pytest.mark.parametrize('name', LEVELS)
def test_levels_of_published_pairs(name):
    check_levels(NETWORKS[name].config, *LEVELS[name])


def test_forward_as_written_down():
    check_forward(NETWORKS['shuffle_v2'].config, forward_shuffle_v2)
