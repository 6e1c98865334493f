"""The sigmoid focal loss, against its formula."""

import math

from tests.support.gradients import assert_equal_with_gradients

import mmcv.ops
import pytest
import torch
import torch.nn.functional as F


def textbook_focal_loss(logits, target, gamma, alpha, weight=None):
    # the last column, of the background, is cut off again
    positive = F.one_hot(target, logits.size(1) + 1)[:, :-1].bool()
    p = logits.sigmoid()
    loss = torch.where(
        positive,
        -alpha * (1 - p) ** gamma * F.logsigmoid(logits),
        -(1 - alpha) * p**gamma * F.logsigmoid(-logits),
    )
    if weight is not None:
        loss = loss * torch.cat([weight, weight.new_ones(1)])[target][:, None]
    return loss


@pytest.mark.parametrize('reduction', ['none', 'mean', 'sum'])
@pytest.mark.parametrize('weighted', [False, True])
@pytest.mark.parametrize('gamma, alpha', [(2.0, 0.25), (1.5, 0.9), (0.0, 0.5)])
def test_sigmoid_focal_loss(gamma, alpha, weighted, reduction):
    torch.manual_seed(0)
    target = torch.tensor([0, 1, 2, 3, 1, 3])  # 3 is the background
    weight = torch.tensor([0.5, 2.0, 3.0]).double() if weighted else None
    layer = mmcv.ops.SigmoidFocalLoss(gamma, alpha, weight, reduction)
    reduce = {
        'none': lambda loss: loss,
        'sum': torch.sum,
        # mmcv divides by the number of rows
        'mean': lambda loss: loss.sum() / len(target),
    }[reduction]
    assert_equal_with_gradients(
        lambda x: layer(x, target),
        lambda x: reduce(textbook_focal_loss(x, target, gamma, alpha, weight)),
        torch.randn(6, 3).double() * 3,
    )


@pytest.mark.parametrize('logit', [-1e4, -200.0, 200.0, 1e4])
def test_sigmoid_focal_loss_of_saturated_logits(logit):
    logits = torch.full((2, 1), logit, requires_grad=True)
    loss = mmcv.ops.sigmoid_focal_loss(
        logits, torch.tensor([0, 1]), 2.0, 0.25, None, 'none'
    )
    loss.sum().backward()
    # right answers cost nothing; wrong ones -log of float32's smallest number
    largest = -math.log(torch.finfo(torch.float32).tiny)
    expected = [[0.25 * largest], [0.0]] if logit < 0 else [[0.0], [0.75 * largest]]
    torch.testing.assert_close(loss, torch.tensor(expected).float())
    assert torch.isfinite(logits.grad).all()


def test_sigmoid_focal_loss_of_nothing():
    logits = torch.zeros(0, 3, requires_grad=True)
    loss = mmcv.ops.sigmoid_focal_loss(
        logits, torch.zeros(0, dtype=torch.long), 2.0, 0.25, None, 'sum'
    )
    assert loss.item() == 0
    loss.backward()
    assert logits.grad.shape == (0, 3)
