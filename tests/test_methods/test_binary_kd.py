"""Binary KD, against its definition."""

from mmreviewkd.methods import View
from mmreviewkd.methods.binary_kd import binary_kd_loss

import torch
from mmdet.registry import MODELS


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


def test_the_method_has_the_published_settings(logits):
    student, teacher, labels = logits
    method = MODELS.build(dict(type='BinaryKDLoss'))
    assert method.reads == ('logits',) and method.weight == 1.0
    losses = method.losses(
        View(logits=student, labels=labels), View(logits=teacher, labels=labels)
    )
    torch.testing.assert_close(losses, dict(loss=binary_kd_loss(student, teacher, 1.0)))
