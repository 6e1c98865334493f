"""Pearson correlation distillation, against its formula."""

from mmreviewkd.methods import PKD, Pair, View
from mmreviewkd.methods.pkd import pkd_loss, standardized_channels
from tests.support.views import assert_same_gradients, feature

import pytest
import torch


def formula(student, teacher):
    """Channel by channel."""
    total = 0
    for channel in range(student.size(1)):
        values = []
        for each in (student[:, channel].flatten(), teacher[:, channel].flatten()):
            mean = sum(each) / len(each)
            variance = sum((value - mean) ** 2 for value in each) / (len(each) - 1)
            values.append([(v - mean) / (variance**0.5 + 1e-6) for v in each])
        total = total + sum((a - b) ** 2 for a, b in zip(*values))
    return total / student.numel() / 2


@pytest.mark.parametrize('images, height, width', [(3, 4, 5), (1, 2, 3), (2, 1, 1)])
def test_equals_the_formula(images, height, width):
    student = feature(images, 3, height, width).requires_grad_()
    teacher = feature(images, 3, height, width, seed=1)
    loss, expected = pkd_loss(student, teacher), formula(student, teacher)
    if (height, width) == (1, 1):  # of two values, any other scale is the same
        torch.testing.assert_close(loss, expected, rtol=1e-9, atol=1e-12)
        return
    assert_same_gradients(loss, expected, student)


def test_gradcheck():
    student, teacher = feature(2, 3, 2, 2).requires_grad_(), feature(2, 3, 2, 2, seed=1)
    assert torch.autograd.gradcheck(lambda s: pkd_loss(s, teacher), student)


def test_is_one_less_the_correlation():
    student, teacher = feature(4, 2, 3, 3), feature(4, 2, 3, 3, seed=1)
    rows = [each.transpose(0, 1).flatten(1) for each in (student, teacher)]
    correlations = [torch.corrcoef(torch.stack(pair))[0, 1] for pair in zip(*rows)]
    mean = torch.stack(correlations).mean()
    # with the unbiased deviation, apart from one value in 36
    torch.testing.assert_close(
        pkd_loss(student, teacher) * 36 / 35, 1 - mean, rtol=1e-5, atol=0
    )


def test_scale_and_offset_of_a_channel_do_not_count():
    student, teacher = feature(2, 3, 4, 4), feature(2, 3, 4, 4, seed=1)
    scale = torch.tensor([2.0, 0.1, 30.0]).double().view(3, 1, 1)
    for ours in (student, scale * student + 7 * scale):
        torch.testing.assert_close(
            pkd_loss(ours, teacher), pkd_loss(student, teacher), rtol=1e-4, atol=0
        )
    assert pkd_loss(scale * teacher + 1, teacher) < 1e-9


def test_a_constant_channel_is_zero():
    constant = torch.full((2, 1, 3, 3), 5.0, requires_grad=True)
    assert (standardized_channels(constant) == 0).all()
    pkd_loss(constant, feature(2, 1, 3, 3).float()).backward()
    assert constant.grad.isfinite().all()


def test_half_precision():
    # whose squares exceed 65504
    student, teacher = 300 * feature(2, 3, 4, 4), 300 * feature(2, 3, 4, 4, seed=1)
    half = student.half().requires_grad_()
    loss = pkd_loss(half, teacher.half())
    expected = pkd_loss(student, teacher).float()
    torch.testing.assert_close(loss, expected, rtol=1e-3, atol=0)
    loss.backward()
    assert half.grad.isfinite().all()


def test_sums_the_levels():
    method = PKD.for_pair(Pair(['a', 'b'], [3, 3], [3, 3]), weight=6.0)
    assert method.weight == 6.0
    ours = [feature(2, 3, 4, 4), feature(2, 3, 2, 2)]
    theirs = [feature(2, 3, 8, 8, seed=1), feature(2, 3, 2, 2, seed=1)]
    grown = torch.nn.functional.interpolate(ours[0], (8, 8), mode='bilinear')
    torch.testing.assert_close(
        method.losses(View(ours), View(theirs))['loss'],
        pkd_loss(grown, theirs[0]) + pkd_loss(ours[1], theirs[1]),
    )
