"""Relational knowledge distillation, against its formula."""

from mmreviewkd.errors import UserInputError
from mmreviewkd.methods import RKD, View
from mmreviewkd.methods.rkd import relational_losses, relations
from tests.support.views import assert_same_gradients, feature

import pytest
import torch
from mmdet.registry import MODELS


def huber(difference):
    size = abs(difference)
    return size - 0.5 if size > 1 else 0.5 * difference**2


def distances(vectors):
    """Pair by pair, in units of their mean."""
    count = range(len(vectors))
    found = {
        (i, j): ((vectors[i] - vectors[j]) ** 2).sum() ** 0.5
        for i in count
        for j in count
        if i != j
    }
    mean = sum(found.values()) / len(found)
    return {pair: value / mean for pair, value in found.items()}


def cosines(vectors):
    """Angle by angle, at i between j and k."""
    count, found = range(len(vectors)), {}
    for i in count:
        for j in count:
            for k in count:
                if i not in (j, k):
                    a, b = vectors[j] - vectors[i], vectors[k] - vectors[i]
                    lengths = (a * a).sum() ** 0.5 * (b * b).sum() ** 0.5
                    found[i, j, k] = (a * b).sum() / lengths
    return found


def formula(student, teacher):
    found = []
    for power, values in ((2, distances), (3, cosines)):
        ours, theirs = values(student), values(teacher)
        total = sum(huber(ours[key] - theirs[key]) for key in ours)
        found.append(total / len(student) ** power)
    return found


# distances of the larger factor differ by more than 1, where Huber's loss is linear
@pytest.mark.parametrize('images, factor', [(3, 1.0), (5, 1.0), (6, 30.0)])
def test_equals_the_formula(images, factor):
    student = feature(images, 3)
    student[0] *= factor
    student.requires_grad_()
    teacher = feature(images, 7, seed=1)
    for loss, expected in zip(
        relational_losses(student, teacher), formula(student, teacher)
    ):
        assert_same_gradients(loss, expected, student)
    distance, angle = relational_losses(student.detach(), student)
    assert not distance.requires_grad and not angle.requires_grad


def test_gradcheck():
    student, teacher = feature(4, 3).requires_grad_(), feature(4, 5, seed=1)
    assert torch.autograd.gradcheck(lambda s: relational_losses(s, teacher), student)


def test_neither_scale_nor_place_nor_rotation_matters():
    student = feature(5, 3)
    turn = torch.linalg.qr(feature(3, 3, seed=2))[0]
    for loss in relational_losses(7 * student @ turn + 2, student):
        assert loss < 1e-25


@pytest.mark.parametrize('dtype', [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize('images', [1, 2, 4])
def test_equal_vectors(dtype, images):
    same, some = torch.ones(images, 4, dtype=dtype), feature(images, 4).to(dtype)
    twice = some.clone()
    twice[-1] = twice[0]
    for student, teacher in ((same, same), (same, some), (some, same), (twice, some)):
        student = student.clone().requires_grad_()
        losses = relational_losses(student, teacher)
        sum(losses).backward()
        assert all(loss.isfinite() for loss in losses)
        assert student.grad.isfinite().all() and student.grad.abs().max() < 1e7
    distance, cosine = relations(same)
    assert distance.diag().eq(0).all() and cosine.eq(0).all()


def test_half_precision():
    student, teacher = 300 * feature(4, 64), feature(4, 64, seed=1)
    expected = [loss.float() for loss in relational_losses(student, teacher)]
    found = relational_losses(student.half(), teacher.half())
    torch.testing.assert_close(list(found), expected, rtol=1e-2, atol=0)
    with torch.autocast('cpu', torch.bfloat16):
        mixed = relational_losses(student.float(), teacher.float())
    torch.testing.assert_close(list(mixed), expected)


def test_the_method_has_the_published_weights():
    method = MODELS.build(dict(type='RKD'))
    assert isinstance(method, RKD)
    student, teacher = feature(4, 4, 2, 2), feature(4, 5, 1, 1, seed=1)
    distance, angle = relational_losses(student.mean((2, 3)), teacher[:, :, 0, 0])
    losses = method.losses(View([student]), View([teacher]))
    torch.testing.assert_close(losses, dict(loss=25 * distance + 50 * angle))
    with pytest.raises(UserInputError, match=r'RKD\(angle_weight=-1\): must be a numb'):
        MODELS.build(dict(type='RKD', angle_weight=-1))
