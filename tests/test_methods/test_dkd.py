"""DKD, against its definition and KD."""

from mmreviewkd.methods import View
from mmreviewkd.methods.dkd import dkd_loss
from mmreviewkd.methods.kd import kd_loss
from tests.support.views import assert_same_gradients

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS


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


def test_the_method_has_the_published_settings(logits):
    student, teacher, labels = logits
    method = MODELS.build(dict(type='DKDLoss'))
    assert method.reads == ('logits', 'labels') and method.weight == 1.0
    losses = method.losses(
        View(logits=student, labels=labels), View(logits=teacher, labels=labels)
    )
    torch.testing.assert_close(
        losses, dict(loss=dkd_loss(student, teacher, labels, 1.0, 8.0, 4.0))
    )


def test_standardized_logits(logits):
    student, teacher, labels = logits
    method = MODELS.build(dict(type='DKDLoss', beta=2.0, standardize=True))
    views = View(logits=student, labels=labels), View(logits=teacher, labels=labels)
    expected = dkd_loss(
        *((x - x.mean(1, True)) / (1e-7 + x.std(1, keepdim=True)) for x in logits[:2]),
        labels,
        1.0,
        2.0,
        4.0,
    )
    assert_same_gradients(method.losses(*views)['loss'], expected, student)
