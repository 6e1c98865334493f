"""The CIFAR ResNet-50."""

from tests.support.networks import (
    Published,
    check_forward,
    check_levels,
    check_relu,
    check_size_and_state_dict,
)

import pytest

NETWORKS = dict(
    resnet50=Published(
        dict(type='CifarResNet50'),
        23705252,
        320,
        23.71,
        keys=(
            'conv1.weight',
            'bn1.weight',
            'layer1.0.conv3.weight',
            'layer1.0.shortcut.0.weight',
            'layer4.0.shortcut.1.weight',
            'layer4.2.bn3.num_batches_tracked',
            'linear.bias',
        ),
    )
)
LEVELS = dict(resnet50=((256, 512, 1024, 2048, 2048), (32, 16, 8, 4, 1)))


def forward_resnet50(w, x):
    x = w.conv_bn('conv1', 'bn1', x).relu()
    after, before = [], []
    for stage, blocks in enumerate((3, 4, 6, 3), 1):
        for block in range(blocks):
            name = f'layer{stage}.{block}'
            stride = 2 if stage > 1 and block == 0 else 1
            y = w.conv_bn(f'{name}.conv1', f'{name}.bn1', x).relu()
            y = w.conv_bn(f'{name}.conv2', f'{name}.bn2', y, stride=stride)
            y = w.conv_bn(f'{name}.conv3', f'{name}.bn3', y.relu())
            if block == 0:
                x = w.conv_bn(
                    f'{name}.shortcut.0', f'{name}.shortcut.1', x, stride=stride
                )
            sum_ = x + y
            x = sum_.relu()
        before.append(sum_)
        after.append(x)
    pooled, logits = w.logits('linear', x)
    return logits, [*after, pooled], [*before, pooled]


@pytest.mark.parametrize('name', NETWORKS)
def test_size_and_state_dict(name):
    check_size_and_state_dict(NETWORKS[name])


@pytest.mark.parametrize('name', LEVELS)
def test_levels_of_published_pairs(name):
    check_levels(NETWORKS[name].config, *LEVELS[name])


@pytest.mark.parametrize('name', ['resnet50'])
def test_relu_of_before_is_after(name):
    check_relu(NETWORKS[name].config)


def test_forward_as_written_down():
    check_forward(NETWORKS['resnet50'].config, forward_resnet50)
