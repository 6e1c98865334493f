"""Attention based fusion of one level."""

import math

from mmreviewkd.methods import ABF
from mmreviewkd.methods.review.abf import _Fusion

import pytest
import torch
import torch.nn.functional as F


def make(shape, residual_size=None, mid=4, out=6, seed=0):
    """An ABF with its inputs; statistics and affine parameters are random."""
    torch.manual_seed(seed)
    abf = ABF(shape[1], mid, out, residual_size is not None).double()
    for bn in (abf.reduce.bn, abf.output.bn):
        torch.nn.init.uniform_(bn.weight, 0.5, 2)
        torch.nn.init.normal_(bn.bias)
        torch.nn.init.normal_(bn.running_mean)
        torch.nn.init.uniform_(bn.running_var, 0.5, 2)
    feature = torch.randn(shape).double().requires_grad_()
    residual = None
    if residual_size is not None:
        residual = torch.randn(shape[0], mid, *residual_size).double()
        residual.requires_grad_()
    return abf, feature, residual


def textbook(abf, feature, residual, target_size):
    """Steps 1 to 3 of ABF as they are written down, by autograd alone."""
    bn = abf.reduce.bn
    x = F.batch_norm(
        F.conv2d(feature, abf.reduce.conv.weight),
        bn.running_mean.clone(),
        bn.running_var.clone(),
        bn.weight,
        bn.bias,
        bn.training,
    )
    if residual is not None:
        up = F.interpolate(residual, x.shape[-2:], mode='nearest')
        attention = torch.sigmoid(
            F.conv2d(
                torch.cat([x, up], dim=1),
                abf.attention.conv.weight,
                abf.attention.conv.bias,
            )
        )
        x = x * attention[:, 0:1] + up * attention[:, 1:2]
    return F.interpolate(x, target_size, mode='nearest')


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize(
    'size, residual_size, target_size',
    [
        ((8, 8), (4, 4), (8, 8)),  # as in an FPN
        ((25, 42), (13, 21), (25, 42)),  # odd and not square
        ((7, 5), (3, 5), (7, 5)),  # one axis alone is upsampled
        ((6, 6), (6, 6), (6, 6)),  # nothing is
        ((4, 4), (9, 3), (4, 4)),  # the residual is the larger one
        ((8, 6), (1, 1), (8, 6)),
        ((4, 6), (2, 3), (9, 13)),  # the teacher's map is larger,
        ((9, 8), (5, 4), (4, 3)),  # smaller,
        ((6, 6), (3, 3), (6, 9)),  # of another width,
        ((6, 6), (3, 3), (9, 6)),  # or of another height
        ((5, 7), None, (5, 7)),  # the deepest level
        ((2, 2), None, (5, 3)),
    ],
)
def test_fuse_equals_textbook(size, residual_size, target_size, training):
    abf, feature, residual = make((2, 3, *size), residual_size)
    abf.train(training)
    expected = textbook(abf, feature, residual, target_size)
    fused = abf.fuse(feature, residual, target_size)
    assert fused.shape == (2, 4, *target_size)
    torch.testing.assert_close(fused, expected, rtol=1e-9, atol=1e-9)

    inputs = [feature, abf.reduce.conv.weight, abf.reduce.bn.weight]
    if residual is not None:
        inputs += [residual, *abf.attention.parameters()]
    grad = torch.randn_like(fused)
    torch.testing.assert_close(
        torch.autograd.grad(fused, inputs, grad),
        torch.autograd.grad(expected, inputs, grad),
        rtol=1e-9,
        atol=1e-9,
    )


@pytest.mark.parametrize(
    'size, residual_size',
    [((5, 4), (3, 2)), ((2, 3), (2, 3)), ((3, 2), (1, 1)), ((2, 2), (3, 5))],
)
def test_gradcheck_of_the_fusion(size, residual_size):
    torch.manual_seed(0)
    shapes = [(2, 3, *size), (2, 4, *residual_size), (4, 3), (4,), (2, 3), (2,), (2, 4)]
    inputs = [torch.randn(shape).double().requires_grad_() for shape in shapes]
    assert torch.autograd.gradcheck(_Fusion.apply, inputs)


@pytest.mark.parametrize('training', [True, False])
def test_gradcheck(training):
    abf, feature, residual = make((2, 2, 4, 3), (2, 2), mid=2)
    abf.train(training)
    assert torch.autograd.gradcheck(
        lambda f, r: abf.fuse(f, r, (5, 3)), (feature, residual)
    )


def test_attention_weighs_the_two_inputs():
    # its bias alone, saturated, passes the level's feature or the residual
    abf, feature, residual = make((2, 4, 6, 6), (3, 3))
    own = textbook(abf, feature, None, (6, 6))
    up = F.interpolate(residual, (6, 6))
    with torch.no_grad():
        abf.attention.conv.weight.zero_()
        for bias, expected in [
            ((50.0, -50.0), own),
            ((-50.0, 50.0), up),
            ((50.0, 50.0), own + up),
            ((0.0, 0.0), (own + up) / 2),
        ]:
            abf.attention.conv.bias.copy_(torch.tensor(bias))
            torch.testing.assert_close(abf.fuse(feature, residual, (6, 6)), expected)


def test_inputs_stay_as_they_are():
    # the fused backward pass reuses buffers; none of them may be the caller's
    abf, feature, residual = make((2, 3, 6, 6), (3, 3))
    before = [x.detach().clone() for x in (feature, residual)]
    fused = abf.fuse(feature, residual, (6, 6))
    grad = torch.randn_like(fused)
    grad_before = grad.clone()
    fused.backward(grad)
    for now, then in zip((feature, residual, grad), (*before, grad_before)):
        assert torch.equal(now, then)


def test_strided_gradient_and_inputs():
    abf, feature, residual = make((2, 3, 6, 4), (3, 2))
    layout = feature.to(memory_format=torch.channels_last)
    grad = torch.randn(2, 4, 4, 6).double().transpose(2, 3)
    torch.testing.assert_close(
        torch.autograd.grad(
            abf.fuse(layout, residual, (6, 4)), [feature, residual], grad
        ),
        torch.autograd.grad(
            textbook(abf, feature, residual, (6, 4)), [feature, residual], grad
        ),
    )


def test_kaiming_uniform_with_a_1():
    # U(-sqrt(3 / fan_in), sqrt(3 / fan_in)), not torch's default, which is
    # sqrt(3) times narrower
    torch.manual_seed(0)
    abf = ABF(64, 32, 48, True)
    for conv, fan_in in [(abf.reduce.conv, 64), (abf.output.conv, 32 * 9)]:
        bound = math.sqrt(3 / fan_in)
        largest = conv.weight.abs().max().item()
        assert 0.98 * bound < largest <= bound
        assert conv.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)
        assert conv.bias is None


def test_parameters():
    # the names are those of the published weights, by which they are compared
    abf = ABF(3, 4, 6, True)
    assert {name: tuple(p.shape) for name, p in abf.named_parameters()} == {
        'reduce.conv.weight': (4, 3, 1, 1),
        'reduce.bn.weight': (4,),
        'reduce.bn.bias': (4,),
        'attention.conv.weight': (2, 8, 1, 1),
        'attention.conv.bias': (2,),
        'output.conv.weight': (6, 4, 3, 3),
        'output.bn.weight': (6,),
        'output.bn.bias': (6,),
    }
    assert ABF(3, 4, 6, False).attention is None
