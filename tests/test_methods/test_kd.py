"""KD, against its definition."""

from mmreviewkd.methods import View
from mmreviewkd.methods.kd import kd_loss, standardized
from tests.support.views import assert_same_gradients, feature

import pytest
import torch
import torch.nn.functional as F
from mmdet.registry import MODELS


def test_kd(logits):
    student, teacher, _ = logits
    p, q = (F.softmax(x / 4, 1) for x in (teacher, student))
    expected = 16 * (p * (p / q).log()).sum(1).mean()
    torch.testing.assert_close(kd_loss(student, teacher, 4.0), expected)
    assert kd_loss(teacher, teacher, 4.0).abs() < 1e-12
    assert torch.autograd.gradcheck(lambda s: kd_loss(s, teacher, 4.0), student)


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


def standardized_kd(student, teacher, temperature):
    """Number by number."""
    total = 0
    for rows in zip(student, teacher):
        logs = []
        for row in rows:
            mean = sum(row) / len(row)
            deviation = (sum((z - mean) ** 2 for z in row) / (len(row) - 1)) ** 0.5
            scores = [(z - mean) / (1e-7 + deviation) / temperature for z in row]
            total_power = sum(score.exp() for score in scores)
            logs.append([score - total_power.log() for score in scores])
        total = total + sum(p.exp() * (p - q) for q, p in zip(*logs))
    return temperature**2 * total / len(student)


def test_standardized_logits(logits):
    student, teacher, _ = logits
    method = MODELS.build(dict(type='KDLoss', temperature=2.0, standardize=True))
    loss = method.losses(View(logits=student), View(logits=teacher))['loss']
    assert_same_gradients(loss, standardized_kd(student, teacher, 2.0), student)
    # the range of the teacher's logits does not matter
    views = View(logits=student), View(logits=7 * teacher + 3)
    torch.testing.assert_close(method.losses(*views)['loss'], loss)
    torch.testing.assert_close(
        student.std(1) * standardized(student).std(1), student.std(1)
    )
    assert torch.autograd.gradcheck(standardized, student)


@pytest.mark.parametrize('shape', [(1, 5), (3, 1), (0, 5)])
def test_standardized_logits_of_degenerate_batches(shape):
    for logits in (torch.zeros(shape), feature(*shape).half()):
        logits.requires_grad_()
        loss = kd_loss(standardized(logits), standardized(torch.ones(shape)), 2.0)
        if len(logits):
            loss.backward()
            assert loss.isfinite() and logits.grad.isfinite().all()
        assert standardized(logits).dtype == torch.float32
    large = (1e4 * feature(2, 100)).half()
    assert standardized(large).isfinite().all()
