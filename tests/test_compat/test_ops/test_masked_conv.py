"""The masked convolution, against a convolution."""

import mmcv.ops
import pytest
import torch


@pytest.mark.parametrize('kernel, padding', [(3, 1), ((1, 3), (0, 1)), (1, 0)])
def test_masked_conv2d(kernel, padding):
    torch.manual_seed(0)
    layer = mmcv.ops.MaskedConv2d(3, 4, kernel, padding=padding)
    x = torch.randn(1, 3, 5, 7)
    for mask in (torch.rand(1, 5, 7) > 0.5, torch.zeros(1, 5, 7)):
        with torch.no_grad():
            output, expected = layer(x, mask), layer(x) * (mask > 0)
        torch.testing.assert_close(output, expected)
