"""KD, against its definition."""

from mmreviewkd.methods import View
from mmreviewkd.methods.kd import kd_loss, standardized_logits
from tests.support.logits import (
    assert_computed_in_float32,
    divergence,
    softened,
    standardized_rows,
)
from tests.support.views import assert_same_gradients, feature

import pytest
import torch
from mmdet.registry import MODELS


def formula(student, teacher, temperature):
    """Number by number."""
    total = 0
    for rows in zip(teacher, student):
        total = total + divergence(*(softened(row, temperature) for row in rows))
    return temperature**2 * total / len(student)


@pytest.mark.parametrize('temperature', [0.5, 1.0, 4.0])
def test_equals_the_formula(logits, temperature):
    student, teacher, _ = logits
    loss = kd_loss(student, teacher, temperature)
    assert_same_gradients(loss, formula(student, teacher, temperature), student)


def test_kd(logits):
    student, teacher, _ = logits
    assert kd_loss(teacher, teacher, 4.0).abs() < 1e-12
    assert torch.autograd.gradcheck(lambda s: kd_loss(s, teacher, 4.0), student)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision(dtype):
    assert_computed_in_float32(lambda *pair: kd_loss(*pair, 4.0), dtype)


def test_the_method_has_the_published_settings(logits):
    student, teacher, labels = logits
    method = MODELS.build(dict(type='KDLoss'))
    assert method.reads == ('logits',) and method.weight == 1.0
    losses = method.losses(
        View(logits=student, labels=labels), View(logits=teacher, labels=labels)
    )
    torch.testing.assert_close(losses, dict(loss=kd_loss(student, teacher, 4.0)))
    assert MODELS.build(dict(type='KDLoss', weight=0.9)).weight == 0.9


def test_the_teacher_gets_no_gradient(logits):
    student, teacher, _ = logits
    teacher.requires_grad_()
    kd_loss(student, teacher, 4.0).backward()
    assert teacher.grad is None


def test_standardized_logits(logits):
    student, teacher, _ = logits
    method = MODELS.build(dict(type='KDLoss', temperature=2.0, standardize=True))
    loss = method.losses(View(logits=student), View(logits=teacher))['loss']
    rows = map(standardized_rows, (student, teacher))
    assert_same_gradients(loss, formula(*rows, 2.0), student)
    # the range of the teacher's logits does not matter
    views = View(logits=student), View(logits=7 * teacher + 3)
    torch.testing.assert_close(method.losses(*views)['loss'], loss)
    torch.testing.assert_close(
        student.std(1) * standardized_logits(student).std(1), student.std(1)
    )
    assert torch.autograd.gradcheck(standardized_logits, student)


@pytest.mark.parametrize('shape', [(1, 5), (3, 1), (0, 5)])
def test_standardized_logits_of_degenerate_batches(shape):
    for logits in (torch.zeros(shape), feature(*shape).half()):
        logits.requires_grad_()
        pair = map(standardized_logits, (logits, torch.ones(shape)))
        loss = kd_loss(*pair, 2.0)
        if len(logits):
            loss.backward()
            assert loss.isfinite() and logits.grad.isfinite().all()
        assert standardized_logits(logits).dtype == torch.float32
    large = (1e4 * feature(2, 100)).half()
    assert standardized_logits(large).isfinite().all()
