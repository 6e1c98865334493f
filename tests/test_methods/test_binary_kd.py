"""Binary KD, against its definition."""

from mmreviewkd.methods import View
from mmreviewkd.methods.binary_kd import binary_kd_loss
from tests.support.logits import assert_computed_in_float32, divergence
from tests.support.views import assert_same_gradients

import pytest
import torch
from mmdet.registry import MODELS


def formula(student, teacher, temperature):
    """Number by number."""
    total = 0
    for ours, theirs in zip(student.flatten(), teacher.flatten()):
        q, p = (1 / (1 + (-z / temperature).exp()) for z in (ours, theirs))
        total = total + divergence([p, 1 - p], [q, 1 - q])
    return temperature**2 * total / len(student)


@pytest.mark.parametrize('temperature', [0.5, 1.0, 4.0])
def test_equals_the_formula(logits, temperature):
    student, teacher, _ = logits
    loss = binary_kd_loss(student, teacher, temperature)
    assert_same_gradients(loss, formula(student, teacher, temperature), student)


def test_binary_kd(logits):
    student, teacher, _ = logits
    assert binary_kd_loss(teacher, teacher, 2.0).abs() < 1e-12
    assert torch.autograd.gradcheck(lambda s: binary_kd_loss(s, teacher, 2.0), student)
    teacher.requires_grad_()
    binary_kd_loss(student, teacher, 2.0).backward()
    assert teacher.grad is None


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision(dtype):
    assert_computed_in_float32(lambda *pair: binary_kd_loss(*pair, 4.0), dtype)


def test_the_method_has_the_published_settings(logits):
    student, teacher, labels = logits
    method = MODELS.build(dict(type='BinaryKDLoss'))
    assert method.reads == ('logits',) and method.weight == 1.0
    losses = method.losses(
        View(logits=student, labels=labels), View(logits=teacher, labels=labels)
    )
    torch.testing.assert_close(losses, dict(loss=binary_kd_loss(student, teacher, 1.0)))
