"""RoIAlign and RoIPool, served and mmcv's own."""

from tests.support.compiled_mmcv import (
    both,
    make_rois,
    needs_compiled_mmcv,
    needs_kernel_source,
    report,
    with_gradients,
    with_kernels,
)

import mmcv.ops as mmcv_ops
import pytest
import torch

pytestmark = pytest.mark.mmcv


@needs_compiled_mmcv
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('aligned', [True, False])
@pytest.mark.parametrize('sampling_ratio', [0, 1, 2])
@pytest.mark.parametrize('output_size', [1, 7, (3, 5)])
@pytest.mark.parametrize('count', [0, 40])
def test_roi_align(monkeypatch, count, output_size, sampling_ratio, aligned, dtype):
    torch.manual_seed(0)
    layer = mmcv_ops.RoIAlign(output_size, 0.25, sampling_ratio, 'avg', aligned)
    features = torch.randn(2, 3, 17, 23).to(dtype)
    rois = make_rois(count, count, 2, 80).to(dtype)
    compiled, ours = both(
        monkeypatch, lambda: with_gradients(lambda x: layer(x, rois), features)
    )
    report('RoIAlign', compiled, ours)


@needs_kernel_source
@pytest.mark.parametrize('scale', [1.0, 0.25])
@pytest.mark.parametrize('output_size', [1, 7, (3, 5)])
@pytest.mark.parametrize('count', [0, 40])
def test_roi_pool(monkeypatch, kernels, count, output_size, scale):
    torch.manual_seed(0)
    # distinct values, so that each maximum has one place
    features = torch.randperm(2 * 3 * 17 * 23).view(2, 3, 17, 23).float()
    features -= features.mean()
    rois = make_rois(count, count, 2, 20 / scale)
    compiled, ours = with_kernels(
        monkeypatch,
        'roi_pool',
        kernels,
        lambda: with_gradients(
            lambda x: mmcv_ops.roi_pool(x, rois, output_size, scale), features
        ),
    )
    report('RoIPool', compiled, ours)


@needs_kernel_source
def test_roi_pool_of_ties(monkeypatch, kernels):
    # of equal cells the first one takes the gradient
    features = torch.randint(0, 3, (2, 3, 17, 23)).float()
    rois = make_rois(40, 1, 2, 20)
    compiled, ours = with_kernels(
        monkeypatch,
        'roi_pool',
        kernels,
        lambda: with_gradients(lambda x: mmcv_ops.roi_pool(x, rois, 4), features),
    )
    report('RoIPool', compiled, ours)
