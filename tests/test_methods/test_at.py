"""Attention transfer, against its formula."""

from mmreviewkd.methods import AttentionTransfer, View
from mmreviewkd.methods.at import attention_loss
from tests.support.views import feature

import pytest
import torch
from mmdet.registry import MODELS


def formula(student, teacher):
    """Image by image, cell by cell, of features of one size."""
    total = 0
    for ours, theirs in zip(student, teacher):
        maps = []
        for each in (ours, theirs):
            cells = [
                sum(value**2 for value in each[:, y, x])
                for y in range(each.size(1))
                for x in range(each.size(2))
            ]
            length = sum(cell**2 for cell in cells) ** 0.5
            maps.append([cell / length for cell in cells])
        total = total + sum((a - b) ** 2 for a, b in zip(*maps)) / len(maps[0])
    return total / len(student)


@pytest.mark.parametrize('images, height, width', [(3, 4, 5), (1, 2, 3), (2, 1, 4)])
def test_equals_the_formula(images, height, width):
    student = feature(images, 6, height, width).requires_grad_()
    teacher = feature(images, 9, height, width, seed=1).requires_grad_()
    loss, expected = attention_loss(student, teacher), formula(student, teacher)
    torch.testing.assert_close(loss, expected, rtol=1e-9, atol=1e-12)
    (grad,) = torch.autograd.grad(loss, student)
    (other,) = torch.autograd.grad(expected, student)
    assert other.abs().max() > 1e-3
    torch.testing.assert_close(grad, other, rtol=1e-9, atol=1e-12)
    assert not attention_loss(student.detach(), teacher).requires_grad


def test_gradcheck():
    student, teacher = feature(2, 3, 4, 4).requires_grad_(), feature(2, 5, 4, 2)
    assert torch.autograd.gradcheck(lambda s: attention_loss(s, teacher), student)


def test_equal_inputs_give_zero_whatever_their_scale_and_sign():
    student, teacher = feature(2, 3, 4, 4), feature(2, 5, 4, 4, seed=1)
    for scale in (1.0, -7.0, 1e-3):
        assert attention_loss(scale * student, student) < 1e-30
        torch.testing.assert_close(
            attention_loss(scale * student, teacher), attention_loss(student, teacher)
        )
    # of each image
    factors = torch.tensor([2.0, 0.5]).double().view(2, 1, 1, 1)
    torch.testing.assert_close(
        attention_loss(student, factors * teacher), attention_loss(student, teacher)
    )


@pytest.mark.parametrize('ours, theirs', [((4, 6), (2, 3)), ((2, 3), (4, 6))])
def test_the_larger_is_pooled(ours, theirs):
    student, teacher = feature(2, 3, *ours), feature(2, 5, *theirs, seed=1)

    def pooled(x):
        return x.view(*x.shape[:2], 2, x.size(2) // 2, 3, x.size(3) // 3).mean((3, 5))

    torch.testing.assert_close(
        attention_loss(student, teacher), formula(pooled(student), pooled(teacher))
    )


def test_a_map_of_one_cell_adds_nothing():
    student = feature(2, 3, 1, 1).requires_grad_()
    loss = attention_loss(student, feature(2, 5, 1, 1, seed=1))
    loss.backward()
    assert loss == 0 and student.grad.abs().max() < 1e-15


@pytest.mark.parametrize('dtype', [torch.float16, torch.float32, torch.float64])
def test_features_of_zeros(dtype):
    zeros, some = torch.zeros(1, 3, 4, 4, dtype=dtype), feature(1, 3, 4, 4).to(dtype)
    for student, teacher in ((zeros, zeros), (zeros, some), (some, zeros)):
        student = student.clone().requires_grad_()
        loss = attention_loss(student, teacher)
        loss.backward()
        assert loss.isfinite() and student.grad.isfinite().all()
    assert loss.item() == pytest.approx(1 / 16, abs=1e-3)  # of length 1 against 0


def test_half_precision():
    # whose squares exceed 65504, or vanish
    for scale in (300.0, 1e-4):
        student, teacher = scale * feature(2, 3, 4, 4), feature(2, 5, 4, 4, seed=1)
        expected = attention_loss(student, teacher).float()
        with torch.autocast('cpu', torch.bfloat16):
            mixed = attention_loss(student.float(), teacher.float())
        torch.testing.assert_close(mixed, expected)
        half = student.half().requires_grad_()
        loss = attention_loss(half, teacher.half())
        torch.testing.assert_close(loss, expected, rtol=1e-2, atol=0)
        loss.backward()
        assert half.grad.isfinite().all()


def test_sums_the_levels():
    ours = [feature(2, 3, 4, 4), feature(2, 6, 2, 2)]
    theirs = [feature(2, 5, 4, 4, seed=1), feature(2, 7, 2, 2, seed=1)]
    method = MODELS.build(dict(type='AttentionTransfer', weight=1000.0))
    assert isinstance(method, AttentionTransfer)
    assert method.weight == 1000 and not list(method.parameters())
    losses = method.losses(View(ours), View(theirs))
    torch.testing.assert_close(
        losses, dict(loss=sum(map(attention_loss, ours, theirs)))
    )
