"""The hierarchical context loss, against its formula and by hand."""

from mmreviewkd.commands.textbook import hcl
from mmreviewkd.methods import hcl_loss

import pytest
import torch
import torch.nn.functional as F


def features(*shape, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    student, teacher = torch.randn(
        2, *shape, dtype=torch.float64, generator=generator
    ).to(dtype)
    return student.requires_grad_(), teacher


# Heights on both sides of each grid (1, 2, 4), and widths that are smaller or
# larger than the height, or no multiple of the grid.
@pytest.mark.parametrize('height', [1, 2, 3, 4, 5, 9])
@pytest.mark.parametrize('width', [1, 3, 4, 13])
def test_equals_textbook(height, width):
    student, teacher = features(2, 3, height, width)
    loss, expected = hcl_loss(student, teacher), hcl(student, teacher)
    assert loss.shape == ()
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        torch.autograd.grad(loss, student),
        torch.autograd.grad(expected, student),
        rtol=1e-12,
        atol=1e-12,
    )


@pytest.mark.parametrize('shape', [(2, 64, 50, 84), (3, 5, 7, 100)])
def test_equals_textbook_in_float32(shape):
    student, teacher = features(*shape, dtype=torch.float32)
    expected = hcl(student.double(), teacher.double())
    assert hcl_loss(student, teacher).item() == pytest.approx(expected.item(), rel=1e-6)


def context_mse(student, teacher, size):
    return F.mse_loss(
        F.adaptive_avg_pool2d(student, size), F.adaptive_avg_pool2d(teacher, size)
    ).item()


# Each term by hand: which grids are used at a height, and with which weight.
@pytest.mark.parametrize(
    'height, weights',
    [
        (1, {}),
        (2, {1: 1 / 2}),
        (3, {2: 1 / 2, 1: 1 / 4}),
        (4, {2: 1 / 2, 1: 1 / 4}),
        (5, {4: 1 / 2, 2: 1 / 4, 1: 1 / 8}),
    ],
)
def test_grids_not_smaller_than_the_height_use_no_weight(height, weights):
    student, teacher = features(1, 2, height, 8)
    expected = F.mse_loss(student, teacher).item() + sum(
        weight * context_mse(student, teacher, size) for size, weight in weights.items()
    )
    expected /= 1 + sum(weights.values())
    assert hcl_loss(student, teacher).item() == pytest.approx(expected, rel=1e-12)


def test_height_decides_not_width():
    # 1 x 8: no grid at all, though 4 and 2 would fit the width
    student, teacher = features(2, 3, 1, 8)
    assert hcl_loss(student, teacher).item() == pytest.approx(
        F.mse_loss(student, teacher).item(), rel=1e-12
    )


def test_a_constant_difference_gives_its_square():
    # every grid then holds the same value, so that the weights cancel
    teacher = torch.randn(2, 3, 6, 7, dtype=torch.float64)
    assert hcl_loss(teacher + 3, teacher).item() == pytest.approx(9.0, rel=1e-9)


def test_a_difference_of_mean_zero_counts_at_full_size_only():
    teacher = torch.randn(1, 1, 8, 8, dtype=torch.float64)
    checkerboard = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(4, 4).double()
    loss = hcl_loss(teacher + checkerboard, teacher).item()
    assert loss == pytest.approx(1 / (1 + 1 / 2 + 1 / 4 + 1 / 8), rel=1e-9)


def test_equal_inputs_give_zero():
    student, _ = features(2, 3, 9, 7)
    loss = hcl_loss(student, student.detach().clone())
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(student.grad, torch.zeros_like(student))


def test_shapes_that_differ_are_named():
    with pytest.raises(ValueError, match=r'\(1, 2, 8, 8\).*\(1, 2, 8, 9\).*differ'):
        hcl_loss(torch.zeros(1, 2, 8, 8), torch.zeros(1, 2, 8, 9))
    # shapes that would broadcast are refused as well
    with pytest.raises(ValueError, match=r'\(2, 2, 8, 8\).*\(1, 2, 8, 8\)'):
        hcl_loss(torch.zeros(2, 2, 8, 8), torch.zeros(1, 2, 8, 8))


@pytest.mark.parametrize('height, width', [(1, 1), (2, 3), (4, 5), (6, 3)])
def test_gradcheck(height, width):
    student, teacher = features(2, 2, height, width)
    assert torch.autograd.gradcheck(lambda s: hcl_loss(s, teacher), student)


def test_gradient_scales_with_the_loss_weight():
    student, teacher = features(1, 2, 6, 5)
    (grad,) = torch.autograd.grad(hcl_loss(student, teacher), student)
    (scaled,) = torch.autograd.grad(3 * hcl_loss(student, teacher), student)
    torch.testing.assert_close(scaled, 3 * grad)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    # The difference is 600 where squares beyond 65504 overflow float16.
    student = torch.full((1, 2, 8, 8), 300.0, dtype=dtype, requires_grad=True)
    teacher = torch.full((1, 2, 8, 8), -300.0, dtype=dtype)
    loss = hcl_loss(student, teacher)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(
        hcl(student.float(), teacher.float()).item(), rel=1e-6
    )
    loss.backward()
    assert student.grad.dtype == dtype
    reference = student.detach().float().requires_grad_()
    hcl(reference, teacher.float()).backward()
    torch.testing.assert_close(student.grad, reference.grad.to(dtype))


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_student_of_a_float32_teacher(dtype):
    student, teacher = features(2, 3, 6, 9, dtype=torch.float32)
    student = student.detach().to(dtype)
    assert hcl_loss(student, teacher).item() == pytest.approx(
        hcl(student.float(), teacher).item(), rel=1e-5
    )


def test_teacher_gets_no_gradient():
    student, teacher = features(1, 2, 6, 6)
    teacher.requires_grad_()
    hcl_loss(student, teacher).backward()
    assert teacher.grad is None and student.grad.abs().sum() > 0


def test_inputs_stay_as_they_are():
    student, teacher = features(1, 2, 6, 6)
    before = student.detach().clone(), teacher.clone()
    hcl_loss(student, teacher).backward()
    assert torch.equal(student, before[0]) and torch.equal(teacher, before[1])


def test_non_contiguous_inputs():
    # channels_last and sliced maps, as convolutions and crops hand them on
    student, teacher = features(2, 4, 6, 10)
    layout = student.to(memory_format=torch.channels_last)
    sliced = torch.stack([teacher, teacher], dim=-1)[..., 0]
    assert not layout.is_contiguous() and not sliced.is_contiguous()
    torch.testing.assert_close(
        torch.autograd.grad(hcl_loss(layout, sliced), student),
        torch.autograd.grad(hcl(student, teacher), student),
    )
