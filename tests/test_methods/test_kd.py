"""Losses between logits, against their definitions."""

from mmreviewkd.methods import View
from mmreviewkd.methods.binary_kd import binary_kd_loss
from mmreviewkd.methods.dkd import dkd_loss
from mmreviewkd.methods.kd import kd_loss

import pytest
import torch
import torch.nn.functional as F
from mmdet.registry import MODELS


@pytest.fixture
def logits():
    torch.manual_seed(0)
    return (
        torch.randn(6, 5, dtype=torch.float64, requires_grad=True),
        torch.randn(6, 5, dtype=torch.float64),
        torch.arange(6) % 5,
    )


def test_kd(logits):
    student, teacher, _ = logits
    p, q = (F.softmax(x / 4, 1) for x in (teacher, student))
    expected = 16 * (p * (p / q).log()).sum(1).mean()
    torch.testing.assert_close(kd_loss(student, teacher, 4.0), expected)
    assert kd_loss(teacher, teacher, 4.0).abs() < 1e-12
    assert torch.autograd.gradcheck(lambda s: kd_loss(s, teacher, 4.0), student)


def test_dkd_parts_make_up_kd(logits):
    """KD = target part + (1 - teacher's target probability) * others."""
    student, teacher, labels = logits
    t = 2.0
    target = dkd_loss(student, teacher, labels, 1.0, 0.0, t)
    p, q = (F.softmax(x / t, 1) for x in (teacher, student))
    rows = torch.arange(6)
    b = torch.stack([p[rows, labels], 1 - p[rows, labels]], 1)
    c = torch.stack([q[rows, labels], 1 - q[rows, labels]], 1)
    torch.testing.assert_close(target, t**2 * (b * (b / c).log()).sum(1).mean())
    total = 0
    for i, label in enumerate(labels):
        one = (student[i : i + 1], teacher[i : i + 1], labels[i : i + 1])
        total = (
            total
            + dkd_loss(*one, 1.0, 0.0, t)
            + (1 - p[i, label]) * dkd_loss(*one, 0.0, 1.0, t)
        )
    torch.testing.assert_close(total / 6, kd_loss(student, teacher, t))
    assert torch.autograd.gradcheck(
        lambda s: dkd_loss(s, teacher, labels, 1.0, 8.0, t), student
    )


def test_binary_kd(logits):
    student, teacher, _ = logits
    p, q = (torch.sigmoid(x / 2) for x in (teacher, student))
    expected = (
        4 * (p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()).sum(1).mean()
    )
    torch.testing.assert_close(binary_kd_loss(student, teacher, 2.0), expected)
    assert binary_kd_loss(teacher, teacher, 2.0).abs() < 1e-12
    assert torch.autograd.gradcheck(lambda s: binary_kd_loss(s, teacher, 2.0), student)
    halved = binary_kd_loss(student.half(), teacher.half(), 2.0)
    torch.testing.assert_close(halved, expected.float(), rtol=1e-2, atol=1e-3)


def test_modules_hold_the_published_settings(logits):
    student, teacher, labels = logits
    for config, expected in (
        (dict(type='KDLoss'), kd_loss(student, teacher, 4.0)),
        (dict(type='DKDLoss'), dkd_loss(student, teacher, labels, 1.0, 8.0, 4.0)),
        (dict(type='BinaryKDLoss'), binary_kd_loss(student, teacher, 1.0)),
    ):
        method = MODELS.build(config)
        assert 'logits' in method.reads and method.weight == 1.0
        losses = method.losses(
            View(logits=student, labels=labels), View(logits=teacher, labels=labels)
        )
        torch.testing.assert_close(losses, dict(loss=expected))
    assert MODELS.build(dict(type='KDLoss', weight=0.9)).weight == 0.9
    student.grad = None
    teacher.requires_grad_()
    kd_loss(student, teacher, 4.0).backward()
    assert teacher.grad is None
