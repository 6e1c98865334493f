"""The overhaul of feature distillation, against its formula."""

import math

from mmreviewkd.errors import UserInputError
from mmreviewkd.methods import OFD
from mmreviewkd.methods.ofd import margin, partial_l2
from tests.support.views import PAIR, assert_same_gradients, feature, views

import pytest
import torch


def test_margins_are_means_of_negative_values():
    weight = torch.tensor([1.0, -2.0, 0.5, 1.0], dtype=torch.float64)
    bias = torch.tensor([0.0, 1.0, -3.0, 3.0], dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    draws = torch.randn(400_000, 4, generator=generator, dtype=torch.float64)
    draws = draws * weight.abs() + bias
    found = margin(weight, bias)
    for value, column in zip(found, draws.T):
        torch.testing.assert_close(value, column[column < 0].mean(), rtol=0, atol=0.02)
    # of the first, half a normal distribution
    torch.testing.assert_close(found[0].item(), -math.sqrt(2 / math.pi))


def test_margins_of_channels_that_are_hardly_negative():
    # negative with probability 0.00135 and 0.00097
    found = margin(torch.ones(2), torch.tensor([3.0, 3.1]))
    assert found[0] > -1 and found[1] == -3
    # constant channels: positive, negative, zero
    found = margin(torch.zeros(3), torch.tensor([1.0, -1.0, 0.0]))
    assert found.tolist() == [0.0, -1.0, 0.0]
    assert margin(torch.ones(2).half(), torch.zeros(2).half()).dtype == torch.float16


def formula(student, teacher, margins):
    """Element by element."""
    total = 0
    for place in torch.cartesian_prod(*map(torch.arange, student.shape)).tolist():
        s, t, m = student[tuple(place)], teacher[tuple(place)], margins[place[1]]
        t = t if t > m else m
        if s > t or t > 0:
            total = total + (s - t) ** 2
    return total / len(student)


@pytest.mark.parametrize('images', [1, 3])
def test_equals_the_formula(images):
    student = (2 * feature(images, 3, 4, 4)).requires_grad_()
    teacher = feature(images, 3, 4, 4, seed=1)
    margins = torch.tensor([-0.1, -0.5, -2.0], dtype=torch.float64)
    loss = partial_l2(student, teacher, margins)
    assert_same_gradients(loss, formula(student, teacher, margins), student)
    assert not partial_l2(student.detach(), student, margins).requires_grad


def test_gradcheck():
    student, teacher = feature(2, 3, 2, 2).requires_grad_(), feature(2, 3, 2, 2, seed=1)
    margins = torch.full((3,), -0.4, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda s: partial_l2(s, teacher, margins), student)


def test_an_inactive_teacher_leaves_what_is_lower():
    teacher, margins = torch.full((1, 1, 1, 1), -3.0), torch.tensor([-1.0])
    for value, expected in ((-2.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (2.0, 9.0)):
        assert partial_l2(torch.full((1, 1, 1, 1), value), teacher, margins) == expected


def test_half_precision():
    student, teacher = 300 * feature(2, 64, 8, 8), feature(2, 64, 8, 8, seed=1)
    margins = torch.full((64,), -0.4, dtype=torch.float64)
    expected = partial_l2(student, teacher, margins).float()
    half = student.half().requires_grad_()
    loss = partial_l2(half, teacher.half(), margins.half())
    torch.testing.assert_close(loss, expected, rtol=1e-3, atol=0)
    loss.backward()
    assert half.grad.isfinite().all()


def test_the_method_halves_the_shallower_stages():
    torch.manual_seed(0)
    # the teacher's second map is as large as the first, and pooled
    pair = PAIR._replace(teacher_strides=[1, 1, 4, 8])
    method = OFD.for_pair(pair, weight=0.001).double()
    student, teacher = views(pair=pair)
    loss = method.losses(student, teacher)['loss']
    expected = 0
    for level, stage in enumerate(method.stages):
        convolution, norm = stage.connector
        x = torch.einsum(
            'oc,nchw->nohw', convolution.weight[:, :, 0, 0], student.features[level]
        )
        mean = x.mean((0, 2, 3), keepdim=True)
        x = (x - mean) / (
            (x - mean).square().mean((0, 2, 3), keepdim=True) + 1e-5
        ) ** 0.5
        assert norm.weight.eq(1).all() and norm.bias.eq(0).all()
        target = teacher.features[level].detach()
        if level == 1:
            target = target.view(3, 5, 4, 2, 4, 2).mean((3, 5))
        margins = x.new_full((x.size(1),), -math.sqrt(2 / math.pi)).float().double()
        expected = expected + formula(x, target, margins) / 2 ** (2 - level)
    assert len(method.stages) == 3  # none for the pooled vector
    assert_same_gradients(
        loss, expected, *student.features[:3], method.stages[0].connector[0].weight
    )


def test_initial_weights_and_state():
    torch.manual_seed(0)
    pair = PAIR._replace(
        student_channels=[400] * 4,
        teacher_norms=[(torch.ones(200), torch.zeros(200))] * 4,
    )
    method = OFD.for_pair(pair)
    weight = method.stages[0].connector[0].weight
    assert weight.shape == (200, 400, 1, 1)
    assert weight.std().item() == pytest.approx(math.sqrt(2 / 200), rel=0.02)
    assert not [key for key in method.state_dict() if 'margins' in key]


@pytest.mark.parametrize(
    'replaced, message',
    [
        (
            dict(teacher_norms=[PAIR.teacher_norms[0], None, None, None]),
            'OFD: level 1 of the teacher does not end with a BatchNorm of its channels',
        ),
        (
            dict(teacher_strides=[1, 2, 8, 8]),
            'OFD: level 2 has stride 4 in the student, 8 in the teacher, whose maps',
        ),
        (
            dict(maps=[]),
            'OFD compares maps, and all levels of this pair are vectors: level 0, ',
        ),
    ],
)
def test_pairs_that_cannot_be(replaced, message):
    with pytest.raises(UserInputError) as error:
        OFD.for_pair(PAIR._replace(**replaced))
    assert str(error.value).startswith(message) and '\n' not in str(error.value)
