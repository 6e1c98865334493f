"""Similarity-preserving distillation, against its formula."""

from mmreviewkd.errors import UserInputError
from mmreviewkd.methods import View
from mmreviewkd.methods.sp import SimilarityPreserving, similarity, similarity_loss
from tests.support.views import PAIR, feature

import pytest
import torch
from mmdet.registry import MODELS


def formula(student, teacher):
    """Pair by pair of images."""
    matrices = []
    for each in (student, teacher):
        rows = [[(a * b).sum() for b in each.flatten(1)] for a in each.flatten(1)]
        lengths = [sum(value**2 for value in row) ** 0.5 for row in rows]
        matrices.append([[v / n for v in row] for row, n in zip(rows, lengths)])
    pairs = [(a, b) for rows in zip(*matrices) for a, b in zip(*rows)]
    return sum((a - b) ** 2 for a, b in pairs) / len(student) ** 2


@pytest.mark.parametrize('images', [1, 2, 5])
def test_equals_the_formula(images):
    student = feature(images, 3, 4, 2).requires_grad_()
    teacher = feature(images, 5, 2, 2, seed=1).requires_grad_()
    loss, expected = similarity_loss(student, teacher), formula(student, teacher)
    torch.testing.assert_close(loss, expected, rtol=1e-9, atol=1e-12)
    (grad,) = torch.autograd.grad(loss, student)
    (other,) = torch.autograd.grad(expected, student)
    torch.testing.assert_close(grad, other, rtol=1e-9, atol=1e-12)
    assert not similarity_loss(student.detach(), teacher).requires_grad


def test_gradcheck():
    student, teacher = feature(3, 2, 2, 2).requires_grad_(), feature(3, 4, 1, 1)
    assert torch.autograd.gradcheck(lambda s: similarity_loss(s, teacher), student)


def test_equal_inputs_give_zero_whatever_their_scale():
    student = feature(4, 3, 2, 2)
    assert similarity_loss(-7 * student, student) < 1e-30


def test_a_feature_of_zeros_has_a_gradient():
    student = torch.zeros(2, 3, 2, 2, requires_grad=True)
    similarity_loss(student, feature(2, 3, 2, 2).float()).backward()
    assert torch.isfinite(student.grad).all()


def test_half_precision_does_not_overflow():
    large = (100 * feature(2, 64, 8, 8)).half()
    assert torch.isfinite(similarity(large)).all()
    with torch.autocast('cpu', torch.bfloat16):
        assert similarity(large.float()).dtype == torch.float32


def test_the_method_takes_the_last_map():
    method = MODELS.build(dict(type='SimilarityPreserving', weight=3000.0))
    maps = [feature(3, 2, 4, 4), feature(3, 2, 2, 2), feature(3, 2, 1, 1)]
    others = [feature(3, 4, 4, 4), feature(3, 4, 2, 2), feature(3, 4, 1, 1)]
    views = View(features=maps), View(features=others)
    assert method.losses(*views)['loss'] == similarity_loss(maps[1], others[1])
    deepest = MODELS.build(dict(type='SimilarityPreserving', level=-1))
    assert deepest.losses(*views)['loss'] == similarity_loss(maps[2], others[2])


@pytest.mark.parametrize('level', [-5, 4, 'deepest', None])
def test_a_level_that_the_pair_has_not(level):
    with pytest.raises(UserInputError) as error:
        SimilarityPreserving.for_pair(PAIR, level=level)
    assert str(error.value) == (
        f'SimilarityPreserving(level={level!r}): must be the index of a level, from '
        '-4 to 3'
    )
    assert SimilarityPreserving.for_pair(PAIR, level=-2).level == -2
