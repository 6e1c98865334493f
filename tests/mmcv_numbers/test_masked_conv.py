"""The masked convolution, served and mmcv's own."""

from tests.support.compiled_mmcv import needs_kernel_source, report, with_kernels

import mmcv.ops as mmcv_ops
import pytest
import torch

pytestmark = pytest.mark.mmcv


@needs_kernel_source
@pytest.mark.parametrize('kernel, padding', [(3, 1), ((1, 3), (0, 1)), (1, 0)])
def test_masked_conv2d(monkeypatch, kernels, kernel, padding):
    torch.manual_seed(0)
    layer = mmcv_ops.MaskedConv2d(3, 4, kernel, padding=padding)
    x, mask = torch.randn(1, 3, 9, 11), torch.rand(1, 9, 11) > 0.5
    with torch.no_grad():
        compiled, ours = with_kernels(
            monkeypatch, 'masked_conv', kernels, lambda: [layer(x, mask)]
        )
    report('MaskedConv2d', compiled, ours)
