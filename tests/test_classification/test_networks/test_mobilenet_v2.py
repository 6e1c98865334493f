"""The CIFAR MobileNet V2."""

from tests.support.networks import (
    Published,
    check_forward,
    check_levels,
    check_size_and_state_dict,
)

import pytest

NETWORKS = dict(
    mobile_v2=Published(
        dict(type='CifarMobileNetV2'),
        812836,
        320,
        0.81,
        keys=(
            'conv1.0.weight',
            'conv1.1.weight',
            'blocks.0.0.conv.0.weight',
            'blocks.6.0.conv.7.running_var',
            'conv2.0.weight',
            'classifier.0.bias',
        ),
    )
)
LEVELS = dict(mobile_v2=((12, 16, 48, 160, 1280), (16, 8, 4, 2, 1)))


def forward_mobile_v2(w, x):
    x = w.conv_bn('conv1.0', 'conv1.1', x, stride=2).relu()
    stages = []
    for stage, (blocks, stride) in enumerate(
        zip((1, 2, 3, 4, 3, 3, 1), (1, 1, 2, 2, 1, 2, 1))
    ):
        for block in range(blocks):
            name = f'blocks.{stage}.{block}.conv'
            y = w.conv_bn(f'{name}.0', f'{name}.1', x).relu()
            y = w.depthwise(f'{name}.3', y, 1 if block else stride)
            y = w.bn(f'{name}.4', y).relu()
            y = w.conv_bn(f'{name}.6', f'{name}.7', y)
            x = x + y if block else y
        stages.append(x)
    x = w.conv_bn('conv2.0', 'conv2.1', x).relu()
    pooled, logits = w.logits('classifier.0', x)
    features = [stages[i] for i in (1, 2, 4, 6)] + [pooled]
    return logits, features, features


@pytest.mark.parametrize('name', NETWORKS)
def test_size_and_state_dict(name):
    check_size_and_state_dict(NETWORKS[name])


@pytest.mark.parametrize('name', LEVELS)
def test_levels_of_published_pairs(name):
    check_levels(NETWORKS[name].config, *LEVELS[name])


def test_forward_as_written_down():
    check_forward(NETWORKS['mobile_v2'].config, forward_mobile_v2)
