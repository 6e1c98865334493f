"""DIST, against its formula."""

from mmreviewkd.errors import UserInputError
from mmreviewkd.methods import DIST, View
from mmreviewkd.methods.dist import dist_loss
from tests.support.views import assert_same_gradients, feature

import pytest
import torch
from mmdet.registry import MODELS


def formula(student, teacher, beta, gamma, temperature):
    """Number by number."""
    tables = []
    for each in (student, teacher):
        rows = []
        for row in each:
            powers = [torch.exp(value / temperature) for value in row]
            rows.append([power / sum(powers) for power in powers])
        tables.append(rows)

    def mean_distance(ours, theirs):
        total = 0
        for a, b in zip(ours, theirs):
            a, b = ([x - sum(v) / len(v) for x in v] for v in (a, b))
            product = sum(x * y for x, y in zip(a, b))
            lengths = sum(x * x for x in a) ** 0.5 * sum(y * y for y in b) ** 0.5
            total = total + 1 - product / (lengths + 1e-8)
        return total / len(ours)

    columns = [list(zip(*table)) for table in tables]
    return temperature**2 * (
        beta * mean_distance(*tables) + gamma * mean_distance(*columns)
    )


@pytest.mark.parametrize('images, temperature', [(2, 1.0), (6, 4.0)])
def test_equals_the_formula(images, temperature):
    student = (3 * feature(images, 5)).requires_grad_()
    teacher = 3 * feature(images, 5, seed=1)
    settings = (1.0, 0.5, temperature)
    loss = dist_loss(student, teacher, *settings)
    assert_same_gradients(loss, formula(student, teacher, *settings), student)
    assert not dist_loss(student.detach(), student, *settings).requires_grad


def test_gradcheck():
    student, teacher = feature(4, 3).requires_grad_(), feature(4, 3, seed=1)
    assert torch.autograd.gradcheck(
        lambda s: dist_loss(s, teacher, 1.0, 1.0, 2.0), student
    )


def test_equal_logits_give_zero_whatever_is_added():
    logits = 3 * feature(6, 5)
    # but for the 1e-8 that is added to the lengths
    assert dist_loss(logits + 2, logits, 1.0, 1.0, 1.0).abs() < 1e-4


@pytest.mark.parametrize('shape', [(1, 5), (4, 1), (1, 1), (3, 5)])
def test_degenerate_batches(shape):
    for student in (torch.zeros(shape), feature(*shape).float()):
        student.requires_grad_()
        loss = dist_loss(student, feature(*shape, seed=1).float(), 1.0, 1.0, 4.0)
        loss.backward()
        assert loss.isfinite() and student.grad.isfinite().all()


def test_half_precision():
    student, teacher = 30 * feature(4, 100), 30 * feature(4, 100, seed=1)
    expected = dist_loss(student, teacher, 1.0, 1.0, 4.0).float()
    found = dist_loss(student.half(), teacher.half(), 1.0, 1.0, 4.0)
    torch.testing.assert_close(found, expected, rtol=1e-2, atol=0)
    with torch.autocast('cpu', torch.bfloat16):
        mixed = dist_loss(student.float(), teacher.float(), 1.0, 1.0, 4.0)
    torch.testing.assert_close(mixed, expected)


def test_the_method():
    method = MODELS.build(dict(type='DIST', weight=2.0, temperature=4.0))
    assert isinstance(method, DIST) and method.reads == ('logits',)
    student, teacher = feature(4, 5), feature(4, 5, seed=1)
    losses = method.losses(View(logits=student), View(logits=teacher))
    expected = dist_loss(student, teacher, 1.0, 1.0, 4.0)
    torch.testing.assert_close(losses, dict(loss=expected))
    for settings, message in (
        (dict(temperature=0), r'DIST\(temperature=0\): must be a number > 0'),
        (dict(gamma=-1), r'DIST\(gamma=-1\): must be a number >= 0'),
    ):
        with pytest.raises(UserInputError, match=message):
            MODELS.build(dict(type='DIST', **settings))
