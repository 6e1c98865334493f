"""CIFAR ResNets."""

from mmreviewkd.errors import UserInputError
from tests.support.networks import (
    Published,
    check_forward,
    check_levels,
    check_relu,
    check_size_and_state_dict,
)

import pytest
from mmdet.registry import MODELS


def resnet(depth, widths=(16, 16, 32, 64)):
    return dict(type='CifarResNet', depth=depth, widths=widths)


WIDE = (32, 64, 128, 256)
NETWORKS = dict(
    resnet8=Published(resnet(8), 83892, 56),
    resnet14=Published(resnet(14), 181108, 92),
    resnet20=Published(
        resnet(20),
        278324,
        128,
        0.28,
        keys=(
            'conv1.weight',
            'bn1.running_mean',
            'layer1.0.conv1.weight',
            'layer1.2.bn2.bias',
            'layer2.0.downsample.0.weight',
            'layer3.0.downsample.1.running_var',
            'fc.weight',
        ),
    ),
    resnet32=Published(resnet(32), 472756, 200),
    resnet44=Published(resnet(44), 667188, 272),
    resnet56=Published(resnet(56), 861620, 344, 0.86),
    resnet110=Published(resnet(110), 1736564, 668, 1.74),
    resnet8x4=Published(
        resnet(8, WIDE), 1233540, 62, 1.23, keys=('layer1.0.downsample.0.weight',)
    ),
    resnet32x4=Published(resnet(32, WIDE), 7433860, 206, 7.43),
)
LEVELS = dict(
    **dict.fromkeys(
        ('resnet20', 'resnet32', 'resnet56', 'resnet110'),
        ((16, 32, 64, 64), (32, 16, 8, 1)),
    ),
    **dict.fromkeys(('resnet8x4', 'resnet32x4'), ((64, 128, 256, 256), (32, 16, 8, 1))),
)


# Each network as its publication and the public checkpoints' keys describe it:
# (w, images) -> logits, levels after, levels before.


def forward_resnet(w, x, blocks):
    x = w.conv_bn('conv1', 'bn1', x).relu()
    after, before = [], []
    for stage in (1, 2, 3):
        for block in range(blocks):
            name = f'layer{stage}.{block}'
            stride = 2 if stage > 1 and block == 0 else 1
            y = w.conv_bn(f'{name}.conv1', f'{name}.bn1', x, stride=stride)
            y = w.conv_bn(f'{name}.conv2', f'{name}.bn2', y.relu())
            if f'{name}.downsample.0.weight' in w:
                x = w.conv_bn(
                    f'{name}.downsample.0', f'{name}.downsample.1', x, stride=stride
                )
            sum_ = x + y
            x = sum_.relu()
        before.append(sum_)
        after.append(x)
    pooled, logits = w.logits('fc', x)
    return logits, [*after, pooled], [*before, pooled]


@pytest.mark.parametrize('name', NETWORKS)
def test_size_and_state_dict(name):
    check_size_and_state_dict(NETWORKS[name])


@pytest.mark.parametrize('name', LEVELS)
def test_levels_of_published_pairs(name):
    check_levels(NETWORKS[name].config, *LEVELS[name])


@pytest.mark.parametrize('name', ['resnet8', 'resnet14'])
def test_relu_of_before_is_after(name):
    check_relu(NETWORKS[name].config)


@pytest.mark.parametrize(
    'name, blocks', [('resnet8', 1), ('resnet20', 3), ('resnet8x4', 1)]
)
def test_forward_as_written_down(name, blocks):
    check_forward(NETWORKS[name].config, forward_resnet, blocks)


@pytest.mark.parametrize(
    'depth, message', [(18, r'6n \+ 2 \(8, 14, 20, ...\), not 18'), (2, 'not 2')]
)
def test_bad_arguments(depth, message):
    with pytest.raises(UserInputError, match=message):
        MODELS.build(resnet(depth))
