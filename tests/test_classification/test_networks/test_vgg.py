"""VGGs with BatchNorm."""

from mmreviewkd.errors import UserInputError
from tests.support.networks import (
    Published,
    check_forward,
    check_levels,
    check_relu,
    check_size_and_state_dict,
)

import pytest
import torch.nn.functional as F
from mmdet.registry import MODELS


def vgg(depth):
    return dict(type='CifarVGG', depth=depth)


NETWORKS = dict(
    vgg8=Published(vgg(8), 3965028, 37, 3.97),
    vgg11=Published(vgg(11), 9277284, 58),
    vgg13=Published(
        vgg(13),
        9462180,
        72,
        9.46,
        keys=(
            'block0.0.weight',
            'block0.0.bias',
            'block0.1.running_mean',
            'block0.3.weight',
            'block4.4.weight',
            'classifier.weight',
        ),
    ),
    vgg16=Published(vgg(16), 14774436, 93),
    vgg19=Published(vgg(19), 20086692, 114),
)
LEVELS = dict.fromkeys(('vgg8', 'vgg13'), ((128, 256, 512, 512, 512), (16, 8, 4, 4, 1)))


def forward_vgg(w, x, convs):
    after, before = [], []
    for block, count in enumerate(convs):
        for i in range(count):
            name = f'block{block}'
            x = w.conv_bn(
                f'{name}.{3 * i}',
                f'{name}.{3 * i + 1}',
                x.relu() if i else x,
                bias=True,
            )
        before.append(x)
        x = x.relu()
        after.append(x)
        if block < 3:
            x = F.max_pool2d(x, 2)
    pooled, logits = w.logits('classifier', x)
    return logits, [*after[1:], pooled], [*before[1:], pooled]


@pytest.mark.parametrize('name', NETWORKS)
def test_size_and_state_dict(name):
    check_size_and_state_dict(NETWORKS[name])


@pytest.mark.parametrize('name', LEVELS)
def test_levels_of_published_pairs(name):
    check_levels(NETWORKS[name].config, *LEVELS[name])


@pytest.mark.parametrize('name', ['vgg8', 'vgg13'])
def test_relu_of_before_is_after(name):
    check_relu(NETWORKS[name].config)


@pytest.mark.parametrize(
    'name, convs',
    [
        ('vgg8', (1, 1, 1, 1, 1)),
        ('vgg11', (1, 1, 2, 2, 2)),
        ('vgg13', (2, 2, 2, 2, 2)),
        ('vgg16', (2, 2, 3, 3, 3)),
    ],
)
def test_forward_as_written_down(name, convs):
    check_forward(NETWORKS[name].config, forward_vgg, convs)


def test_bad_arguments():
    with pytest.raises(UserInputError, match='8, 11, 13, 16, 19, not 12'):
        MODELS.build(vgg(12))
