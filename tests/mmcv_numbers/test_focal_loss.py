"""The sigmoid focal loss, served and mmcv's own."""

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
@pytest.mark.parametrize('reduction', ['none', 'mean', 'sum'])
@pytest.mark.parametrize('weighted', [False, True])
@pytest.mark.parametrize('gamma, alpha', [(2.0, 0.25), (0.0, 0.5), (1.5, 0.9)])
@pytest.mark.parametrize('count', [0, 60])
def test_sigmoid_focal_loss(
    monkeypatch, kernels, count, gamma, alpha, weighted, reduction
):
    torch.manual_seed(0)
    logits = torch.randn(count, 5) * 3
    # Class 5 is the background. With weights it is left out: mmcv's kernel
    # reads past their end there.
    targets = torch.arange(count) % (5 if weighted else 6)
    weight = torch.rand(5) + 0.5 if weighted else None
    compiled, ours = with_kernels(
        monkeypatch,
        'focal_loss',
        kernels,
        lambda: with_gradients(
            lambda x: mmcv_ops.sigmoid_focal_loss(
                x, targets, gamma, alpha, weight, reduction
            ),
            logits,
        ),
    )
    report('focal loss', compiled, ours)


@needs_kernel_source
@pytest.mark.parametrize('logit', [-1e4, -120.0, -90.0, -30.0, 30.0, 90.0, 1e4])
def test_sigmoid_focal_loss_of_saturated_logits(monkeypatch, kernels, logit):
    logits = torch.full((6, 5), logit)
    targets = torch.arange(6)
    compiled, ours = with_kernels(
        monkeypatch,
        'focal_loss',
        kernels,
        lambda: with_gradients(
            lambda x: mmcv_ops.sigmoid_focal_loss(x, targets, 2.0, 0.25, None, 'none'),
            logits,
        ),
    )
    assert all(torch.isfinite(x).all() for x in compiled)
    report(f'focal loss at {logit}', compiled, ours)
