"""Channel-wise distillation, against its formula."""

from mmreviewkd.methods import CWD, Pair, View
from mmreviewkd.methods.cwd import cwd_loss
from tests.support.views import assert_same_gradients, feature

import pytest
import torch


def formula(student, teacher, temperature):
    """Image by image and channel by channel."""
    total = 0
    for ours, theirs in zip(student.flatten(0, 1), teacher.flatten(0, 1)):
        shares = []
        for each in (ours, theirs):
            powers = [(value / temperature).exp() for value in each.flatten()]
            shares.append([power / sum(powers) for power in powers])
        total = total + sum(t * (t / s).log() for s, t in zip(*shares))
    return temperature**2 * total / (student.size(0) * student.size(1))


@pytest.mark.parametrize('temperature', [1.0, 4.0])
@pytest.mark.parametrize('images, height, width', [(3, 4, 5), (1, 1, 3)])
def test_equals_the_formula(images, height, width, temperature):
    student = feature(images, 3, height, width).requires_grad_()
    teacher = feature(images, 3, height, width, seed=1)
    assert_same_gradients(
        cwd_loss(student, teacher, temperature),
        formula(student, teacher, temperature),
        student,
    )


def test_gradcheck():
    student, teacher = feature(2, 3, 2, 2).requires_grad_(), feature(2, 3, 2, 2, seed=1)
    assert torch.autograd.gradcheck(lambda s: cwd_loss(s, teacher, 2.0), student)


def test_an_offset_does_not_count_and_a_cell_alone_adds_nothing():
    student, teacher = feature(2, 3, 4, 4), feature(2, 3, 4, 4, seed=1)
    torch.testing.assert_close(
        cwd_loss(student + 9, teacher, 1.0), cwd_loss(student, teacher, 1.0)
    )
    assert cwd_loss(student, student + 9, 1.0) < 1e-12
    cell = feature(2, 3, 1, 1).requires_grad_()
    loss = cwd_loss(cell, feature(2, 3, 1, 1, seed=1), 1.0)
    loss.backward()
    assert loss == 0 and (cell.grad == 0).all()


def test_large_values_of_half_precision():
    student = (1000 * feature(1, 2, 3, 3)).half().requires_grad_()
    loss = cwd_loss(student, (1000 * feature(1, 2, 3, 3, seed=1)).half(), 1.0)
    loss.backward()
    assert loss.dtype == torch.float32 and loss.isfinite()
    assert student.grad.isfinite().all()


def test_sums_the_levels():
    method = CWD.for_pair(Pair(['a', 'b'], [3, 3], [3, 3]), weight=5.0, temperature=2.0)
    ours = [feature(2, 3, 4, 4), feature(2, 3, 2, 2)]
    theirs = [feature(2, 3, 4, 4, seed=1), feature(2, 3, 2, 2, seed=1)]
    torch.testing.assert_close(
        method.losses(View(ours), View(theirs)),
        dict(loss=sum(cwd_loss(*pair, 2.0) for pair in zip(ours, theirs))),
    )
