"""DKD, against its definition and KD."""

from mmreviewkd.methods import View
from mmreviewkd.methods.dkd import dkd_loss
from mmreviewkd.methods.kd import kd_loss
from tests.support.logits import (
    assert_computed_in_float32,
    divergence,
    softened,
    standardized_rows,
)
from tests.support.views import assert_same_gradients

import pytest
import torch
import torch.nn.functional as F
from mmdet.registry import MODELS


def formula(student, teacher, labels, alpha, beta, temperature):
    """Number by number."""
    total = 0
    for *rows, label in zip(teacher, student, labels.tolist()):
        tables = [softened(row, temperature) for row in rows]
        right = [[table[label], 1 - table[label]] for table in tables]
        rest = [
            [p / (1 - table[label]) for k, p in enumerate(table) if k != label]
            for table in tables
        ]
        total = total + alpha * divergence(*right) + beta * divergence(*rest)
    return temperature**2 * total / len(student)


@pytest.mark.parametrize('settings', [(1.0, 8.0, 4.0), (1.0, 0.25, 1.0), (0, 1, 2)])
def test_equals_the_formula(logits, settings):
    loss, expected = dkd_loss(*logits, *settings), formula(*logits, *settings)
    assert_same_gradients(loss, expected, logits[0])


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
    settings = dict(alpha=1.0, beta=2.0, temperature=4.0)
    method = MODELS.build(dict(type='DKDLoss', **settings, standardize=True))
    views = View(logits=student, labels=labels), View(logits=teacher, labels=labels)
    rows = map(standardized_rows, (student, teacher))
    expected = formula(*rows, labels, *settings.values())
    assert_same_gradients(method.losses(*views)['loss'], expected, student)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision(dtype):
    labels = torch.tensor([0, 2])
    assert_computed_in_float32(
        lambda *pair: dkd_loss(*pair, labels, 1.0, 8.0, 4.0), dtype
    )
