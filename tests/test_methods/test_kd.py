"""KD, against its definition."""

from mmreviewkd.methods import View
from mmreviewkd.methods.kd import kd_loss

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
