"""The textbook, against modules of torch and sums by hand."""

from mmreviewkd.commands import textbook

import pytest
import torch
from torch import nn


def named(module, name):
    return {f'{name}.{key}': value for key, value in module.state_dict().items()}


@pytest.mark.parametrize('training', [True, False])
def test_conv_bn(training):
    block = nn.Sequential()
    block.add_module('conv', nn.Conv2d(3, 4, 3, padding=1, bias=False))
    block.add_module('bn', nn.BatchNorm2d(4))
    block.bn.running_mean.normal_()
    block.bn.running_var.uniform_(0.5, 2)
    # batch_norm moves the statistics that it is given
    params = {key: value.clone() for key, value in named(block, 'a').items()}
    x = torch.randn(2, 3, 5, 6)
    torch.testing.assert_close(
        textbook.conv_bn(params, 'a', x, training, 1), block.train(training)(x)
    )


def test_hcl_of_constant_maps():
    # pooling changes no constant: a weighted mean of equal numbers
    for size in (1, 2, 3, 5, 9):
        student, teacher = torch.zeros(2, 3, size, size), torch.full((), 3.0)
        loss = textbook.hcl(student, teacher.expand_as(student))
        torch.testing.assert_close(loss, torch.tensor(9.0))


def test_hcl_pools_to_4_2_and_1():
    # a checkerboard, whose mean over any pooled cell is zero
    board = torch.ones(8, 8)
    board[::2, 1::2] = board[1::2, ::2] = -1
    loss = textbook.hcl(board.view(1, 1, 8, 8), torch.zeros(1, 1, 8, 8))
    assert loss.item() == pytest.approx(1 / (1 + 1 / 2 + 1 / 4 + 1 / 8))


def test_review_of_one_level_has_no_attention():
    levels = nn.ModuleDict(
        dict(
            reduce=nn.ModuleDict(
                dict(conv=nn.Conv2d(3, 2, 1, bias=False), bn=nn.BatchNorm2d(2))
            ),
            output=nn.ModuleDict(
                dict(conv=nn.Conv2d(2, 4, 3, bias=False), bn=nn.BatchNorm2d(4))
            ),
        )
    )
    x = torch.randn(2, 3, 4, 4)
    params = {key: value.clone() for key, value in named(levels, 'levels.0').items()}
    (reviewed,) = textbook.review(params, [x], [(8, 8)])
    reduced = levels['reduce']['bn'](levels['reduce']['conv'](x))
    larger = reduced.repeat_interleave(2, 2).repeat_interleave(2, 3)
    expected = nn.functional.conv2d(larger, levels['output']['conv'].weight, padding=1)
    torch.testing.assert_close(reviewed, levels['output']['bn'](expected))
