"""Mimicking, against its formula."""

from mmreviewkd.methods import Mimic, Pair, View
from mmreviewkd.methods.fitnet import hint_loss
from tests.support.views import assert_same_gradients, feature

import torch


def formula(method, student, teacher):
    """Cell by cell, with the convolution as a matrix."""
    total = 0
    for fit, ours, theirs in zip(method.align, student, teacher):
        weight, bias = fit.weight.flatten(1), fit.bias
        images, _, height, width = ours.shape
        level = sum(
            ((weight @ ours[n, :, y, x] + bias - theirs[n, :, y, x]) ** 2).sum()
            for n in range(images)
            for y in range(height)
            for x in range(width)
        )
        total = total + level / theirs.numel()
    return total


def test_equals_the_formula():
    torch.manual_seed(0)
    # with a convolution also where the channels agree
    method = Mimic.for_pair(Pair(['a', 'b'], [2, 4], [3, 4])).double()
    student = [feature(2, 2, 3, 4).requires_grad_(), feature(2, 4, 1, 2)]
    teacher = [feature(2, 3, 3, 4, seed=1), feature(2, 4, 1, 2, seed=1)]
    loss = method.losses(View(student), View(teacher))['loss']
    expected = formula(method, student, teacher)
    assert_same_gradients(loss, expected, student[0], *method.parameters())


def test_gradcheck():
    student, teacher = feature(2, 3, 2, 2).requires_grad_(), feature(2, 3, 2, 2, seed=1)
    assert torch.autograd.gradcheck(lambda s: hint_loss(s, teacher), student)
    assert hint_loss(student, student) == 0
