"""The served operators beside mmcv's own, values and gradients.

Everything runs through ``mmcv.ops``, once on the compiled extension and once
on the functions that stand in for it. mmcv has RoIPool, the focal loss, CARAFE
and the masked convolution for CUDA alone: without a GPU, their kernels'
source, which mmcv ships, is compiled for the CPU.
"""

import importlib
import os.path as osp
import shutil
import types

import mmreviewkd.compat.ops as served
from mmreviewkd.compat import ensure_mmcv_ops

import mmcv.ops as mmcv_ops
import pytest
import torch

needs_compiled_mmcv = pytest.mark.skipif(
    ensure_mmcv_ops() != 'mmcv', reason='this mmcv is not compiled'
)
CSRC = osp.join(osp.dirname(mmcv_ops.__file__), 'csrc', 'common', 'cuda')
needs_kernel_source = pytest.mark.skipif(
    not (osp.isdir(CSRC) and shutil.which('c++')),
    reason="needs a C++ compiler, and an mmcv that ships its kernels' source",
)

STAND_IN = types.SimpleNamespace(
    **{function.__name__: function for function in served.SERVED}
)
TOLERANCE = dict(rtol=1e-5, atol=1e-5)


def both(monkeypatch, function):
    """``function()`` on the compiled operators, and on those served."""
    compiled = function()
    with monkeypatch.context() as patch:
        for name in (
            'nms',
            'roi_align',
            'roi_pool',
            'focal_loss',
            'deform_conv',
            'modulated_deform_conv',
            'masked_conv',
            'carafe',
        ):
            # by import_module: mmcv.ops has functions of the same names
            module = importlib.import_module(f'mmcv.ops.{name}')
            patch.setattr(module, 'ext_module', STAND_IN)
        return compiled, function()


def with_gradients(function, *inputs):
    """Output and gradients for a fixed random output gradient."""
    inputs = [x.detach().clone().requires_grad_() for x in inputs]
    output = function(*inputs)
    generator = torch.Generator().manual_seed(1)
    grad = torch.randn(output.shape, generator=generator).to(output)
    return (output.detach(), *torch.autograd.grad(output, inputs, grad))


def report(name, compiled, ours):
    """Assert closeness, and print how close; ``pytest -s`` shows it."""
    largest = max(
        [(a - b).abs().max().item() for a, b in zip(compiled, ours) if a.numel()]
        or [0.0]
    )
    print(f'{name}: largest difference {largest:.1e}')
    torch.testing.assert_close(ours, compiled, equal_nan=True, **TOLERANCE)


def make_rois(count, seed, batch, size):
    """RoIs of all sizes, some beyond the image, some smaller than a cell."""
    generator = torch.Generator().manual_seed(seed)
    rois = torch.rand(count, 5, generator=generator)
    rois[:, 0] = torch.arange(count) % batch
    rois[:, 1:3] = rois[:, 1:3] * 1.2 * size - 0.1 * size
    rois[:, 3:] = rois[:, 1:3] + rois[:, 3:] ** 3 * size
    return rois


def with_kernels(monkeypatch, module, kernels, function):
    module = importlib.import_module(f'mmcv.ops.{module}')
    monkeypatch.setattr(module, 'ext_module', kernels)
    return both(monkeypatch, function)
