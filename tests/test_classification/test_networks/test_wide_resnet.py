"""Wide ResNets."""

from mmreviewkd.errors import UserInputError
from tests.support.networks import (
    Published,
    check_forward,
    check_levels,
    check_size_and_state_dict,
)

import pytest
from mmdet.registry import MODELS


def wrn(depth, widen_factor):
    return dict(type='CifarWideResNet', depth=depth, widen_factor=widen_factor)


NETWORKS = dict(
    wrn_16_1=Published(wrn(16, 1), 180916, 82),
    wrn_16_2=Published(wrn(16, 2), 703284, 83, 0.70),
    wrn_40_1=Published(wrn(40, 1), 569780, 226, 0.57),
    wrn_40_2=Published(
        wrn(40, 2),
        2255156,
        227,
        2.26,
        keys=(
            'conv1.weight',
            'block1.layer.0.bn1.weight',
            'block1.layer.0.convShortcut.weight',
            'block3.layer.5.conv2.weight',
            'bn1.bias',
            'fc.weight',
        ),
    ),
)
LEVELS = dict(
    wrn_40_1=((16, 32, 64, 64), (32, 16, 8, 1)),
    **dict.fromkeys(('wrn_16_2', 'wrn_40_2'), ((32, 64, 128, 128), (32, 16, 8, 1))),
)


def forward_wrn(w, x, blocks):
    x = w.conv('conv1', x)
    after, before = [], []
    for stage in (1, 2, 3):
        for block in range(blocks):
            name = f'block{stage}.layer.{block}'
            stride = 2 if stage > 1 and block == 0 else 1
            normalised = w.bn(f'{name}.bn1', x)
            if stage > 1 and block == 0:
                before.append(normalised)
            y = w.conv(f'{name}.conv1', normalised.relu(), stride)
            y = w.conv(f'{name}.conv2', w.bn(f'{name}.bn2', y).relu())
            if f'{name}.convShortcut.weight' in w:
                x = w.conv(f'{name}.convShortcut', normalised.relu(), stride)
            x = x + y
        after.append(x)
    x = w.bn('bn1', x)
    before.append(x)
    pooled, logits = w.logits('fc', x.relu())
    return logits, [*after, pooled], [*before, pooled]


@pytest.mark.parametrize('name', NETWORKS)
def test_size_and_state_dict(name):
    check_size_and_state_dict(NETWORKS[name])


@pytest.mark.parametrize('name', LEVELS)
def test_levels_of_published_pairs(name):
    check_levels(NETWORKS[name].config, *LEVELS[name])


@pytest.mark.parametrize(
    'name, blocks', [('wrn_16_1', 2), ('wrn_16_2', 2), ('wrn_40_1', 6)]
)
def test_forward_as_written_down(name, blocks):
    check_forward(NETWORKS[name].config, forward_wrn, blocks)


def test_bad_arguments():
    with pytest.raises(UserInputError, match=r'6n \+ 4 \(16, 22, 28, ...\), not 18'):
        MODELS.build(wrn(18, 1))
