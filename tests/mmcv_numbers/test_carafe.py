"""CARAFE, served and mmcv's own."""

from tests.support.compiled_mmcv import (
    needs_kernel_source,
    report,
    with_gradients,
    with_kernels,
)

import mmcv.ops as mmcv_ops
import pytest
import torch

pytestmark = pytest.mark.mmcv


@needs_kernel_source
@pytest.mark.parametrize(
    'kernel, groups, scale', [(3, 1, 2), (5, 2, 2), (1, 1, 3), (5, 4, 1)]
)
def test_carafe(monkeypatch, kernels, kernel, groups, scale):
    torch.manual_seed(0)
    inputs = (
        torch.randn(2, 8, 9, 11),
        torch.rand(2, groups * kernel**2, 9 * scale, 11 * scale),
    )
    compiled, ours = with_kernels(
        monkeypatch,
        'carafe',
        kernels,
        lambda: with_gradients(
            lambda *x: mmcv_ops.carafe(*x, kernel, groups, scale), *inputs
        ),
    )
    report('CARAFE', compiled, ours)
