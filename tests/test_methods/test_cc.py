"""Correlation congruence of CRD's benchmark, against its formula."""

from mmreviewkd.methods import CC
from mmreviewkd.methods.cc import neighbor_loss
from tests.support.views import PAIR, assert_same_gradients, feature, views

import pytest
import torch


def formula(student, teacher):
    """Neighbor by neighbor."""
    differences = [(a - b).abs() for a, b in zip(student, teacher)]
    products = [torch.dot(a, b) for a, b in zip(differences[:-1], differences[1:])]
    return sum(products) / len(products)


@pytest.mark.parametrize('images', [2, 5])
def test_equals_the_formula(images):
    student = feature(images, 6).requires_grad_()
    teacher = feature(images, 6, seed=1).requires_grad_()
    loss, expected = neighbor_loss(student, teacher), formula(student, teacher)
    # both are embeddings that are trained
    assert_same_gradients(loss, expected, student, teacher)


def test_gradcheck():
    student, teacher = feature(4, 3).requires_grad_(), feature(4, 3, seed=1)
    assert torch.autograd.gradcheck(lambda s: neighbor_loss(s, teacher), student)


def test_it_depends_on_the_order():
    student, teacher = feature(4, 3), feature(4, 3, seed=1)
    order = torch.tensor([2, 0, 1, 3])
    turned = neighbor_loss(student[order], teacher[order])
    assert not torch.isclose(turned, neighbor_loss(student, teacher))


def test_degenerate_batches():
    for student in (feature(1, 3), torch.zeros(3, 3)):
        student = student.requires_grad_()
        loss = neighbor_loss(student, student.detach())
        loss.backward()
        assert loss == 0 and student.grad.isfinite().all()


def test_half_precision():
    student, teacher = 300 * feature(4, 128), feature(4, 128, seed=1)
    expected = neighbor_loss(student, teacher).float()
    found = neighbor_loss(student.half(), teacher.half())
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=0)


def test_the_method_embeds_the_pooled_vectors():
    torch.manual_seed(0)
    method = CC.for_pair(PAIR, weight=0.02).double()
    student, teacher = views()
    loss = method.losses(student, teacher)['loss']
    ours, theirs = (
        (view.features[-1][:, None, :, 0, 0] * layer.weight).sum(2) + layer.bias
        for view, layer in (
            (student, method.embed_student),
            (teacher, method.embed_teacher),
        )
    )
    assert ours.shape == theirs.shape == (3, 128)
    assert_same_gradients(
        loss,
        formula(ours, theirs),
        student.features[-1],
        method.embed_student.weight,
        method.embed_teacher.weight,
    )
    (grad,) = torch.autograd.grad(
        method.losses(student, teacher)['loss'], teacher.features[-1], allow_unused=True
    )
    assert grad is None
