"""Variational information distillation, against its formula."""

import math

from mmreviewkd.errors import UserInputError
from mmreviewkd.methods import VID
from mmreviewkd.methods.vid import Prediction, information_loss
from tests.support.views import PAIR, assert_same_gradients, feature, views

import pytest
import torch


def formula(mean, teacher, variance):
    """Channel by channel, by the normal density without its constant."""
    total = 0
    for channel, v in enumerate(variance):
        normal = torch.distributions.Normal(mean[:, channel], v.sqrt())
        log_density = normal.log_prob(teacher[:, channel]) + math.log(2 * math.pi) / 2
        total = total - log_density.sum()
    return total / mean.numel()


@pytest.mark.parametrize('shape', [(3, 4, 2, 5), (1, 2, 1, 1)])
def test_equals_the_formula(shape):
    mean = feature(*shape).requires_grad_()
    variance = (feature(shape[1]).square() + 0.1).requires_grad_()
    teacher = feature(*shape, seed=1)
    loss = information_loss(mean, teacher, variance)
    assert_same_gradients(loss, formula(mean, teacher, variance), mean, variance)
    frozen = information_loss(mean.detach(), mean, variance.detach())
    assert not frozen.requires_grad


def test_gradcheck():
    mean, teacher = feature(2, 3, 2, 2).requires_grad_(), feature(2, 3, 2, 2, seed=1)
    variance = torch.tensor([0.5, 1.0, 5.0]).double().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda m, v: information_loss(m, teacher, v), (mean, variance)
    )


def test_zeros_and_half_precision():
    predict = Prediction(3, 4)
    zeros = torch.zeros(1, 3, 2, 2, requires_grad=True)
    predict(zeros, torch.zeros(1, 4, 2, 2)).backward()
    assert all(p.grad.isfinite().all() for p in (zeros, *predict.parameters()))
    mean, teacher = 300 * feature(2, 3, 4, 4), feature(2, 3, 4, 4, seed=1)
    variance = torch.full((3,), 5.0)
    expected = information_loss(mean, teacher, variance.double()).float()
    found = information_loss(mean.half(), teacher.half(), variance.half())
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=0)


def test_the_variance_starts_at_5_and_is_trained():
    predict = Prediction(3, 4)
    variance = (1 + predict.rho.exp()).log() + 1e-5
    torch.testing.assert_close(variance.detach(), torch.full((4,), 5.0))
    predict(feature(2, 3, 2, 2).float(), 3 * feature(2, 4, 2, 2).float()).backward()
    assert predict.rho.grad.abs().min() > 0
    assert [layer.bias for layer in predict.mean if hasattr(layer, 'bias')] == 3 * [
        None
    ]


@pytest.mark.parametrize('ours, theirs', [(2, 2), (1, 2), (2, 1)])
def test_the_method_sums_the_stages(ours, theirs):
    torch.manual_seed(0)
    pair = PAIR._replace(strides=[1, ours, 4, 8], teacher_strides=[1, theirs, 4, 8])
    method = VID.for_pair(pair).double()
    student, teacher = views(pair=pair)
    loss = method.losses(student, teacher)['loss']
    expected = 0
    for level, predict in enumerate(method.predictions):
        x, target = student.features[level], teacher.features[level].detach()
        if level == 1 and ours < theirs:
            x = x.view(3, 4, 4, 2, 4, 2).mean((3, 5))
        elif level == 1 and ours > theirs:
            target = target.view(3, 5, 4, 2, 4, 2).mean((3, 5))
        for index in (0, 2, 4):
            x = torch.einsum('oc,nchw->nohw', predict.mean[index].weight[..., 0, 0], x)
            x = torch.where(x > 0, x, 0 * x) if index < 4 else x
        variance = (1 + predict.rho.exp()).log() + 1e-5
        expected = expected + formula(x, target, variance)
    assert len(method.predictions) == 3  # none for the pooled vector
    assert_same_gradients(
        loss, expected, *student.features[:3], *method.predictions[1].parameters()
    )


def test_a_pair_without_maps():
    with pytest.raises(UserInputError, match='^VID compares maps, and all levels of'):
        VID.for_pair(PAIR._replace(maps=[]))
