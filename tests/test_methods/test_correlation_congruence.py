"""Correlation congruence of the paper, against its formula."""

import math

from mmreviewkd.errors import UserInputError
from mmreviewkd.methods import CorrelationCongruence, View
from mmreviewkd.methods.correlation_congruence import correlation, correlation_loss
from tests.support.views import assert_same_gradients, feature

import pytest
import torch
from mmdet.registry import MODELS


def formula(student, teacher, gamma, order):
    """Pair by pair of images."""
    total = 0
    for i in range(len(student)):
        for j in range(len(student)):
            values = []
            for each in (student, teacher):
                x, y = (each[k] / (each[k] * each[k]).sum() ** 0.5 for k in (i, j))
                value, term = 0, math.exp(-2 * gamma)
                for p in range(1, order + 2):
                    value = value + term
                    term = term * 2 * gamma / p * (x * y).sum()
                values.append(value)
            total = total + (values[0] - values[1]) ** 2
    return total / len(student) ** 2


@pytest.mark.parametrize('images, gamma, order', [(2, 0.4, 2), (5, 0.4, 2), (3, 1, 4)])
def test_equals_the_formula(images, gamma, order):
    student = feature(images, 3).requires_grad_()
    teacher = feature(images, 7, seed=1)
    loss = correlation_loss(student, teacher, gamma, order)
    assert_same_gradients(loss, formula(student, teacher, gamma, order), student)
    assert not correlation_loss(student.detach(), student, gamma, order).requires_grad


def test_it_is_a_gaussian_kernel():
    vectors = torch.nn.functional.normalize(feature(4, 3))
    exact = (-0.4 * torch.cdist(vectors, vectors).square()).exp()
    torch.testing.assert_close(correlation(vectors, 0.4, 12), exact)
    torch.testing.assert_close(correlation(vectors, 0.4, 2), exact, rtol=0, atol=0.06)


def test_gradcheck():
    student, teacher = feature(4, 3).requires_grad_(), feature(4, 5, seed=1)
    assert torch.autograd.gradcheck(
        lambda s: correlation_loss(s, teacher, 0.4, 2), student
    )


def test_equal_relations_give_zero():
    student = feature(4, 3)
    assert correlation_loss(7 * student, student, 0.4, 2) < 1e-30
    assert correlation_loss(student[:1], feature(1, 5), 0.4, 2) < 1e-30


def test_vectors_of_zeros():
    student = torch.zeros(3, 4, requires_grad=True)
    loss = correlation_loss(student, feature(3, 5).float(), 0.4, 2)
    loss.backward()
    assert loss.isfinite() and student.grad.isfinite().all()


def test_half_precision():
    student, teacher = 300 * feature(4, 64), feature(4, 64, seed=1)
    expected = correlation_loss(student, teacher, 0.4, 2).float()
    found = correlation_loss(student.half(), teacher.half(), 0.4, 2)
    torch.testing.assert_close(found, expected, rtol=1e-2, atol=0)
    with torch.autocast('cpu', torch.bfloat16):
        mixed = correlation_loss(student.float(), teacher.float(), 0.4, 2)
    torch.testing.assert_close(mixed, expected)


def test_the_method_has_the_published_settings():
    method = MODELS.build(dict(type='CorrelationCongruence', weight=0.003))
    assert isinstance(method, CorrelationCongruence)
    assert (method.gamma, method.order) == (0.4, 2)
    student, teacher = feature(3, 4, 2, 2), feature(3, 5, 1, 1, seed=1)
    expected = correlation_loss(student.mean((2, 3)), teacher[:, :, 0, 0], 0.4, 2)
    losses = method.losses(View([student]), View([teacher]))
    torch.testing.assert_close(losses, dict(loss=expected))


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(gamma=0), 'CorrelationCongruence(gamma=0): must be a number > 0'),
        (dict(order=0), 'CorrelationCongruence(order=0): must be a whole number > 0'),
        (dict(order=1.5), 'CorrelationCongruence(order=1.5): must be a whole number'),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(UserInputError) as error:
        MODELS.build(dict(type='CorrelationCongruence', **settings))
    assert str(error.value).startswith(message)
