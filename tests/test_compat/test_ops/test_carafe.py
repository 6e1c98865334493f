"""CARAFE, against a loop over cells."""

from tests.support.gradients import assert_equal_with_gradients

import mmcv.ops
import numpy as np
import pytest
import torch


def textbook_carafe(features, masks, kernel, groups, scale):
    n, channels, height, width = features.shape
    output = []
    for c, y, x in np.ndindex(channels, height * scale, width * scale):
        value = features.new_zeros(n)
        for i, j in np.ndindex(kernel, kernel):
            row, column = (y // scale + i - kernel // 2, x // scale + j - kernel // 2)
            if 0 <= row < height and 0 <= column < width:
                group = c // (channels // groups)
                value = (
                    value
                    + features[:, c, row, column]
                    * masks[:, (group * kernel + i) * kernel + j, y, x]
                )
        output.append(value)
    return torch.stack(output, 1).view(n, channels, height * scale, width * scale)


@pytest.mark.parametrize(
    'kernel, groups, scale', [(3, 1, 2), (5, 2, 2), (1, 1, 3), (3, 4, 1)]
)
def test_carafe(kernel, groups, scale):
    torch.manual_seed(0)
    settings = kernel, groups, scale
    assert_equal_with_gradients(
        lambda *x: mmcv.ops.carafe(*x, *settings),
        lambda *x: textbook_carafe(*x, *settings),
        torch.randn(2, 4, 3, 4).double(),
        torch.rand(2, groups * kernel**2, 3 * scale, 4 * scale).double(),
    )
