"""Deformable convolutions, served and mmcv's own."""

from tests.support.compiled_mmcv import (
    both,
    needs_compiled_mmcv,
    report,
    with_gradients,
)

import mmcv.ops as mmcv_ops
import pytest
import torch

pytestmark = pytest.mark.mmcv

GEOMETRIES = [
    dict(),
    dict(padding=1),
    dict(stride=2, padding=1),
    dict(dilation=2, padding=(2, 1)),
    dict(stride=(1, 2), padding=(0, 2)),
    dict(padding=1, groups=2),
    dict(padding=1, deform_groups=2),
    dict(padding=1, groups=2, deform_groups=4),
]


def deform_inputs(geometry, kernel=(3, 3), batch=2):
    torch.manual_seed(0)
    # offsets of a few cells also leave the image
    layer = mmcv_ops.ModulatedDeformConv2d(4, 6, kernel, **geometry)
    x = torch.randn(batch, 4, 9, 11)
    with torch.no_grad():
        size = torch.nn.functional.conv2d(
            x,
            layer.weight,
            None,
            layer.stride,
            layer.padding,
            layer.dilation,
            layer.groups,
        ).shape[-2:]
    points = layer.deform_groups * kernel[0] * kernel[1]
    return (
        x,
        torch.randn(batch, 2 * points, *size) * 2,
        torch.rand(batch, points, *size),
        torch.randn_like(layer.weight),
        torch.randn(6),
    )


@needs_compiled_mmcv
@pytest.mark.parametrize('kernel', [(3, 3), (1, 1), (2, 3)])
@pytest.mark.parametrize('geometry', GEOMETRIES)
def test_deform_conv2d(monkeypatch, geometry, kernel):
    x, offset, _, weight, _ = deform_inputs(geometry, kernel)
    compiled, ours = both(
        monkeypatch,
        lambda: with_gradients(
            lambda x, offset, weight: mmcv_ops.deform_conv2d(
                x,
                offset,
                weight,
                *(geometry.get(name, default) for name, default in DEFAULTS),
            ),
            x,
            offset,
            weight,
        ),
    )
    report('DeformConv2d', compiled, ours)


@needs_compiled_mmcv
@pytest.mark.parametrize('with_bias', [True, False])
@pytest.mark.parametrize('kernel', [(3, 3), (1, 1), (2, 3)])
@pytest.mark.parametrize('geometry', GEOMETRIES)
def test_modulated_deform_conv2d(monkeypatch, geometry, kernel, with_bias):
    x, offset, mask, weight, bias = deform_inputs(geometry, kernel)
    inputs = (x, offset, mask, weight) + ((bias,) if with_bias else ())

    def run(x, offset, mask, weight, bias=None):
        return mmcv_ops.modulated_deform_conv2d(
            x,
            offset,
            mask,
            weight,
            bias,
            *(geometry.get(name, default) for name, default in DEFAULTS),
        )

    compiled, ours = both(monkeypatch, lambda: with_gradients(run, *inputs))
    report('ModulatedDeformConv2d', compiled, ours)


DEFAULTS = [
    ('stride', 1),
    ('padding', 0),
    ('dilation', 1),
    ('groups', 1),
    ('deform_groups', 1),
]


@needs_compiled_mmcv
def test_deform_conv2d_weight_gradient_alone(monkeypatch):
    # then mmcv leaves out the call that has all gradients computed
    x, offset, _, weight, _ = deform_inputs(dict(padding=1))
    compiled, ours = both(
        monkeypatch,
        lambda: with_gradients(
            lambda w: mmcv_ops.deform_conv2d(x, offset, w, 1, 1), weight
        ),
    )
    report('DeformConv2d', compiled, ours)


@needs_compiled_mmcv
@pytest.mark.parametrize('name', ['DeformConv2dPack', 'ModulatedDeformConv2dPack'])
def test_packs(monkeypatch, name):
    torch.manual_seed(0)
    layer = getattr(mmcv_ops, name)(4, 6, 3, padding=1, deform_groups=2)
    torch.nn.init.normal_(layer.conv_offset.weight, std=0.3)
    compiled, ours = both(
        monkeypatch,
        lambda: with_gradients(
            lambda x: layer(x),
            torch.randn(2, 4, 9, 11, generator=torch.Generator().manual_seed(0)),
        ),
    )
    report(name, compiled, ours)


@needs_compiled_mmcv
def test_modulated_deform_conv2d_with_offsets_of_a_larger_map(monkeypatch):
    """As DyHead calls it; mmcv reads the first of each image's offsets."""
    x, _, _, weight, bias = deform_inputs(dict(padding=1))
    inputs = (x, torch.randn(2, 18, 18, 22), torch.rand(2, 9, 18, 22), weight, bias)
    compiled, ours = both(
        monkeypatch,
        lambda: with_gradients(
            lambda *x: mmcv_ops.modulated_deform_conv2d(*x, 1, 1), *inputs
        ),
    )
    report('ModulatedDeformConv2d, larger offsets', compiled, ours)
