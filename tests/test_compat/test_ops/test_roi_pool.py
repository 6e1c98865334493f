"""RoIAlign and RoIPool, against sums and maxima over single cells."""

import math

from tests.support.gradients import assert_equal_with_gradients

import mmcv.ops
import pytest
import torch
import torch.nn.functional as F


def bilinear(image, y, x):
    """(C, ) of a (C, H, W) map at a point, as RoIAlign reads it."""
    height, width = image.shape[1:]
    if not (-1 <= y <= height and -1 <= x <= width):
        return image.new_zeros(len(image))
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = min(int(y), height - 1), min(int(x), width - 1)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    dy, dx = y - top, x - left
    return (
        (1 - dy) * (1 - dx) * image[:, top, left]
        + (1 - dy) * dx * image[:, top, right]
        + dy * (1 - dx) * image[:, bottom, left]
        + dy * dx * image[:, bottom, right]
    )


def textbook_roi_align(features, rois, size, scale, sampling_ratio, aligned):
    pooled = []
    for image, *box in rois.tolist():
        x1, y1, x2, y2 = (value * scale - 0.5 * aligned for value in box)
        height, width = y2 - y1, x2 - x1
        if not aligned:
            height, width = max(height, 1.0), max(width, 1.0)
        bin_h, bin_w = height / size[0], width / size[1]
        grid_h = sampling_ratio or math.ceil(bin_h)
        grid_w = sampling_ratio or math.ceil(bin_w)
        pooled.append(
            torch.stack(
                [
                    sum(
                        bilinear(
                            features[int(image)],
                            y1 + (i + (k + 0.5) / grid_h) * bin_h,
                            x1 + (j + (m + 0.5) / grid_w) * bin_w,
                        )
                        for k in range(grid_h)
                        for m in range(grid_w)
                    )
                    / (grid_h * grid_w)
                    for i in range(size[0])
                    for j in range(size[1])
                ],
                -1,
            ).view(-1, *size)
        )
    return torch.stack(pooled)


# as (image, x1, y1, x2, y2) on images of 32 x 44: inside, across the border,
# thinner than a cell, outside
ROIS = torch.tensor(
    [
        [0, 4, 4, 30, 25],
        [1, 1.3, 2.7, 11.2, 9.9],
        [0, -6, -3, 12, 50],
        [1, 7, 7, 7.5, 20],
        [1, 60, 60, 70, 70],
    ]
).double()


@pytest.mark.parametrize('aligned', [True, False])
@pytest.mark.parametrize('sampling_ratio', [0, 2])
@pytest.mark.parametrize('size', [(2, 2), (1, 3)])
def test_roi_align(size, sampling_ratio, aligned):
    torch.manual_seed(0)
    layer = mmcv.ops.RoIAlign(size, 0.25, sampling_ratio, aligned=aligned)
    assert_equal_with_gradients(
        lambda x: layer(x, ROIS),
        lambda x: textbook_roi_align(x, ROIS, size, 0.25, sampling_ratio, aligned),
        torch.randn(2, 3, 8, 11).double(),
    )


def test_roi_align_of_a_ramp():
    # bilinear values of x itself: a bin's mean is its centre
    ramp = torch.arange(16.0).expand(1, 1, 16, 16)
    rois = torch.tensor([[0.0, 2.0, 2.0, 10.0, 10.0]])
    pooled = mmcv.ops.roi_align(ramp, rois, 2, 1.0, 2, 'avg', False)
    assert pooled[0, 0].tolist() == [[4, 8], [4, 8]]
    pooled = mmcv.ops.roi_align(ramp, rois, 2, 1.0, 2, 'avg', True)
    assert pooled[0, 0].tolist() == [[3.5, 7.5], [3.5, 7.5]]


@pytest.mark.parametrize('pool', [mmcv.ops.roi_align, mmcv.ops.roi_pool])
def test_no_rois(pool):
    features = torch.randn(2, 3, 8, 11, requires_grad=True)
    pooled = pool(features, torch.zeros(0, 5), (2, 3), 0.25)
    assert pooled.shape == (0, 3, 2, 3)
    pooled.sum().backward()
    assert torch.equal(features.grad, torch.zeros_like(features))


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize('pool', [mmcv.ops.roi_align, mmcv.ops.roi_pool])
def test_rois_in_half_precision(pool, dtype):
    torch.manual_seed(0)
    exact = torch.randn(2, 3, 8, 11).to(dtype).float().requires_grad_()
    features = exact.detach().to(dtype).requires_grad_()
    rois = ROIS.to(dtype)
    pooled = pool(features, rois, 2, 0.25)
    expected = pool(exact, rois.float(), 2, 0.25)
    assert pooled.dtype == dtype
    torch.testing.assert_close(pooled, expected.to(dtype))
    pooled.sum().backward()
    expected.sum().backward()
    torch.testing.assert_close(
        features.grad, exact.grad.to(dtype), rtol=0.02, atol=0.02
    )


def test_roi_align_under_autocast():
    features = torch.randn(2, 3, 8, 11, requires_grad=True)
    weight = torch.randn(3, 3, 1, 1)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        mapped = F.conv2d(features, weight)
        pooled = mmcv.ops.roi_align(mapped, ROIS.to(mapped), 2, 0.25)
    pooled.float().sum().backward()
    assert features.grad.abs().sum() > 0


def test_roi_align_by_maximum_is_not_served():
    with pytest.raises(NotImplementedError, match='pool_mode="max"'):
        mmcv.ops.roi_align(torch.zeros(1, 1, 4, 4), torch.zeros(1, 5), 2, 1.0, 0, 'max')


def textbook_roi_pool(features, rois, size, scale):
    height, width = features.shape[2:]
    pooled = []
    for image, x1, y1, x2, y2 in rois.tolist():
        x1, y1, x2, y2 = (v * scale for v in (x1, y1, x2 + 1, y2 + 1))
        step_y, step_x = (y2 - y1) / size[0], (x2 - x1) / size[1]
        bins = []
        for i in range(size[0]):
            for j in range(size[1]):
                top = max(math.floor(y1 + i * step_y), 0)
                left = max(math.floor(x1 + j * step_x), 0)
                bottom = min(math.ceil(y1 + (i + 1) * step_y), height)
                right = min(math.ceil(x1 + (j + 1) * step_x), width)
                cells = features[
                    int(image), :, top : max(bottom, top), left : max(right, left)
                ].flatten(1)
                bins.append(
                    cells.amax(1) if cells.size(1) else features[0, :, 0, 0] * 0
                )
        pooled.append(torch.stack(bins, -1).view(-1, *size))
    return torch.stack(pooled)


@pytest.mark.parametrize('size', [(2, 2), (1, 3), (7, 7)])
@pytest.mark.parametrize('scale', [0.25, 0.3])
def test_roi_pool(size, scale):
    torch.manual_seed(0)
    # distinct values, so that each maximum has one place
    features = torch.randperm(2 * 3 * 8 * 11).view(2, 3, 8, 11).double() - 200
    layer = mmcv.ops.RoIPool(size, scale)
    assert_equal_with_gradients(
        lambda x: layer(x, ROIS),
        lambda x: textbook_roi_pool(x, ROIS, size, scale),
        features,
    )


def test_roi_pool_of_equal_cells_and_of_none():
    features = torch.zeros(1, 1, 4, 4, requires_grad=True)
    # all equal: the first cell takes the gradient; x2 + 1 <= x1: no cells
    rois = torch.tensor([[0.0, 1.0, 1.0, 2.0, 2.0], [0.0, 3.0, 0.0, 1.0, 3.0]])
    pooled = mmcv.ops.roi_pool(features, rois, 1)
    assert pooled.flatten().tolist() == [0, 0]
    pooled.sum().backward()
    assert features.grad.nonzero().tolist() == [[0, 0, 1, 1]]
