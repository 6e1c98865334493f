"""Probabilistic knowledge transfer, against its formula."""

from mmreviewkd.methods import PKT, View
from mmreviewkd.methods.pkt import neighbor_probabilities, pkt_loss
from tests.support.views import assert_same_gradients, feature

import pytest
import torch
from mmdet.registry import MODELS


def formula(student, teacher):
    """Image by image; the divergence is divided by the batch twice."""
    probabilities = []
    for each in (student, teacher):
        units = [x / ((x * x).sum() ** 0.5 + 1e-7) for x in each]
        cosines = [[(a * b).sum() for b in units] for a in units]
        rows = [[(value + 1) / 2 for value in row] for row in cosines]
        probabilities.append([[value / sum(row) for value in row] for row in rows])
    pairs = [(p, q) for rows in zip(*probabilities) for q, p in zip(*rows)]
    total = sum(p * ((p + 1e-7) / (q + 1e-7)).log() for p, q in pairs)
    return total / len(student) ** 2


@pytest.mark.parametrize('images', [2, 5])
def test_equals_the_formula(images):
    student = feature(images, 3).requires_grad_()
    teacher = feature(images, 7, seed=1)
    loss = pkt_loss(student, teacher)
    assert_same_gradients(loss, formula(student, teacher), student)
    assert not pkt_loss(student.detach(), student).requires_grad


def test_gradcheck():
    student, teacher = feature(4, 3).requires_grad_(), feature(4, 5, seed=1)
    assert torch.autograd.gradcheck(lambda s: pkt_loss(s, teacher), student)


def test_equal_relations_give_zero():
    student = feature(4, 3)
    assert pkt_loss(7 * student, student).abs() < 1e-7
    assert pkt_loss(student[:1], feature(1, 5)).abs() < 1e-12  # one has no neighbor


@pytest.mark.parametrize('dtype', [torch.float16, torch.float32])
def test_vectors_of_zeros(dtype):
    zeros, some = torch.zeros(3, 4, dtype=dtype), feature(3, 4).to(dtype)
    for student, teacher in ((zeros, zeros), (zeros, some), (some, zeros)):
        student = student.clone().requires_grad_()
        loss = pkt_loss(student, teacher)
        loss.backward()
        assert loss.isfinite() and student.grad.isfinite().all()
    assert torch.equal(neighbor_probabilities(zeros), torch.full((3, 3), 1 / 3))


def test_half_precision():
    student, teacher = 300 * feature(4, 64), feature(4, 64, seed=1)
    expected = pkt_loss(student, teacher).float()
    torch.testing.assert_close(
        pkt_loss(student.half(), teacher.half()), expected, rtol=1e-2, atol=1e-7
    )
    with torch.autocast('cpu', torch.bfloat16):
        mixed = pkt_loss(student.float(), teacher.float())
    torch.testing.assert_close(mixed, expected, rtol=1e-3, atol=1e-7)


def test_the_method_takes_the_pooled_vectors():
    method = MODELS.build(dict(type='PKT', weight=30000.0))
    assert isinstance(method, PKT) and method.weight == 30000
    student, teacher = feature(3, 4, 2, 2), feature(3, 5, 1, 1, seed=1)
    views = View([student, student]), View([student, teacher])
    expected = pkt_loss(student.mean((2, 3)), teacher[:, :, 0, 0])
    torch.testing.assert_close(method.losses(*views), dict(loss=expected))
