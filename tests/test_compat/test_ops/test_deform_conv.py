"""Deformable convolutions, against convolutions of sampled maps."""

from collections import OrderedDict

from tests.support.gradients import assert_equal_with_gradients

import mmcv.ops
import pytest
import torch
import torch.nn.functional as F


def textbook_deform_conv(
    x, offset, mask, weight, bias, stride, padding, dilation, groups, deform_groups
):
    """Sum over the kernel's points of a 1x1 convolution of sampled maps."""
    batch, channels, height, width = x.shape
    out_h, out_w = offset.shape[-2:]
    kernel_h, kernel_w = weight.shape[-2:]
    offset = offset.view(batch, deform_groups, -1, 2, out_h, out_w)
    mask = mask.view(batch, deform_groups, -1, out_h, out_w)
    x = x.view(batch * deform_groups, -1, height, width)
    rows = torch.arange(out_h).view(-1, 1) * stride - padding
    columns = torch.arange(out_w).view(1, -1) * stride - padding
    output = 0 if bias is None else bias.view(1, -1, 1, 1)
    for point in range(kernel_h * kernel_w):
        ky, kx = divmod(point, kernel_w)
        y = rows + ky * dilation + offset[:, :, point, 0]
        x_ = columns + kx * dilation + offset[:, :, point, 1]
        # grid_sample's -1 and 1 are the centres of the border cells
        grid = torch.stack([2 * x_ / (width - 1) - 1, 2 * y / (height - 1) - 1], -1)
        sampled = F.grid_sample(x, grid.flatten(0, 1), align_corners=True)
        sampled = sampled * mask[:, :, point].flatten(0, 1)[:, None]
        output = output + F.conv2d(
            sampled.view(batch, channels, out_h, out_w),
            weight[:, :, ky, kx, None, None],
            groups=groups,
        )
    return output


GEOMETRIES = [
    OrderedDict(
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        deform_groups=deform_groups,
    )
    for stride, padding, dilation, groups, deform_groups in [
        (1, 0, 1, 1, 1),
        (1, 1, 1, 1, 1),
        (2, 1, 1, 1, 1),
        (1, 2, 2, 1, 1),
        (1, 1, 1, 2, 1),
        (1, 1, 1, 1, 2),
        (2, 1, 1, 2, 4),
    ]
]


def deform_inputs(geometry, kernel):
    torch.manual_seed(0)
    x, weight = (
        torch.randn(2, 4, 6, 7),
        torch.randn(6, 4 // geometry['groups'], *kernel),
    )
    size = F.conv2d(x, weight, None, *list(geometry.values())[:4]).shape[-2:]
    points = geometry['deform_groups'] * kernel[0] * kernel[1]
    # offsets of a few cells also leave the image
    return [
        value.double()
        for value in (
            x,
            torch.randn(2, 2 * points, *size) * 2,
            torch.rand(2, points, *size),
            weight,
            torch.randn(6),
        )
    ]


@pytest.mark.parametrize('kernel', [(3, 3), (2, 3), (1, 1)])
@pytest.mark.parametrize('geometry', GEOMETRIES)
def test_deform_conv2d(geometry, kernel):
    x, offset, mask, weight, _ = deform_inputs(geometry, kernel)
    assert_equal_with_gradients(
        lambda *inputs: mmcv.ops.deform_conv2d(*inputs, *geometry.values()),
        lambda x, offset, weight: textbook_deform_conv(
            x, offset, torch.ones_like(mask), weight, None, **geometry
        ),
        x,
        offset,
        weight,
    )


@pytest.mark.parametrize('with_bias', [True, False])
@pytest.mark.parametrize('kernel', [(3, 3), (2, 3), (1, 1)])
@pytest.mark.parametrize('geometry', GEOMETRIES)
def test_modulated_deform_conv2d(geometry, kernel, with_bias):
    inputs = deform_inputs(geometry, kernel)
    bias = inputs.pop()
    if with_bias:
        inputs.append(bias)

    def run(x, offset, mask, weight, bias=None):
        return mmcv.ops.modulated_deform_conv2d(
            x, offset, mask, weight, bias, *geometry.values()
        )

    def textbook(x, offset, mask, weight, bias=None):
        return textbook_deform_conv(x, offset, mask, weight, bias, **geometry)

    assert_equal_with_gradients(run, textbook, *inputs)


@pytest.mark.parametrize('needed', [(0,), (1,), (2,), (0, 2), (1, 2)])
def test_deform_conv2d_where_some_inputs_need_no_gradient(needed):
    # mmcv asks for the weight's gradient in a call of its own, and leaves the
    # other call out where only the weight needs one
    x, offset, mask, weight, _ = deform_inputs(GEOMETRIES[1], (3, 3))
    inputs = [x, offset, weight]
    for i in needed:
        inputs[i].requires_grad_()
    output = mmcv.ops.deform_conv2d(*inputs, *GEOMETRIES[1].values())
    expected = textbook_deform_conv(
        x, offset, torch.ones_like(mask), weight, None, **GEOMETRIES[1]
    )
    leaves = [inputs[i] for i in needed]
    # twice, so that nothing of the first pass serves the second
    for _ in range(2):
        grad = torch.randn_like(output)
        torch.testing.assert_close(
            torch.autograd.grad(output, leaves, grad, retain_graph=True),
            torch.autograd.grad(expected, leaves, grad, retain_graph=True),
        )


def test_deform_conv2d_without_offsets_is_a_convolution():
    torch.manual_seed(0)
    x = torch.randn(2, 4, 6, 7)
    layer = mmcv.ops.DeformConv2d(4, 6, 3, padding=1)
    torch.testing.assert_close(
        layer(x, torch.zeros(2, 18, 6, 7)), F.conv2d(x, layer.weight, padding=1)
    )
    # packs begin with offsets of zero, and version 2 with masks of 1/2
    layer = mmcv.ops.DeformConv2dPack(4, 6, 3, padding=1)
    torch.testing.assert_close(layer(x), F.conv2d(x, layer.weight, padding=1))
    layer = mmcv.ops.ModulatedDeformConv2dPack(4, 6, 3, padding=1)
    torch.testing.assert_close(
        layer(x),
        F.conv2d(x, layer.weight, padding=1) / 2 + layer.bias.view(1, -1, 1, 1),
    )


@pytest.mark.parametrize('name', ['DeformConv2dPack', 'ModulatedDeformConv2dPack'])
def test_packs_train(name):
    torch.manual_seed(0)
    layer = getattr(mmcv.ops, name)(4, 6, 3, padding=1, deform_groups=2)
    layer(torch.randn(2, 4, 6, 7)).square().mean().backward()
    for key, parameter in layer.named_parameters():
        assert parameter.grad.abs().sum() > 0, key


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_deform_conv2d_in_half_precision(dtype):
    inputs = [
        x.to(dtype).float().requires_grad_()
        for x in deform_inputs(GEOMETRIES[1], (3, 3))
    ]
    halves = [x.detach().to(dtype).requires_grad_() for x in inputs]
    expected = mmcv.ops.modulated_deform_conv2d(*inputs, 1, 1)
    output = mmcv.ops.modulated_deform_conv2d(*halves, 1, 1)
    assert output.dtype == dtype
    torch.testing.assert_close(output, expected.to(dtype))
    expected.sum().backward()
    output.sum().backward()
    for exact, half in zip(inputs, halves):
        torch.testing.assert_close(
            half.grad, exact.grad.to(dtype), rtol=0.02, atol=0.02
        )


def test_modulated_deform_conv2d_with_offsets_of_a_larger_map():
    """As DyHead calls it, for a level of half the offsets' size."""
    x, offset, _mask, weight, bias = deform_inputs(GEOMETRIES[1], (3, 3))
    cells = offset.size(2) * offset.size(3)
    larger = [torch.randn(2, channels, 12, 14).double() for channels in (18, 9)]

    def run(x, offset, mask, weight, bias):
        return mmcv.ops.modulated_deform_conv2d(
            x, offset, mask, weight, bias, *GEOMETRIES[1].values()
        )

    def textbook(x, offset, mask, weight, bias):
        # mmcv walks through the memory of each image
        offset, mask = (
            v.flatten(1)[:, : v.size(1) * cells].reshape(2, v.size(1), 6, 7)
            for v in (offset, mask)
        )
        return textbook_deform_conv(x, offset, mask, weight, bias, **GEOMETRIES[1])

    assert_equal_with_gradients(run, textbook, x, *larger, weight, bias)
