"""Non-maximum suppression, served and mmcv's own."""

from tests.support.compiled_mmcv import both, needs_compiled_mmcv, report

import mmcv.ops as mmcv_ops
import pytest
import torch

pytestmark = pytest.mark.mmcv


def make_boxes(count, seed, grid=None, smallest=0):
    """Boxes and scores; on a coarse grid many overlaps are exact fractions."""
    generator = torch.Generator().manual_seed(seed)
    boxes = torch.rand(count, 4, generator=generator) * 50
    boxes[:, 2:] = boxes[:, :2] + boxes[:, 2:] * 0.6
    if grid:
        boxes = (boxes / grid).round() * grid
    boxes[:, 2:] = boxes[:, 2:].maximum(boxes[:, :2] + smallest)
    return boxes, torch.rand(count, generator=generator)


@needs_compiled_mmcv
@pytest.mark.parametrize('iou_threshold', [0.3, 0.5, 0.6, 0.7])
@pytest.mark.parametrize('count, grid', [(1, None), (300, None), (300, 10)])
def test_nms_match(monkeypatch, count, grid, iou_threshold):
    boxes, scores = make_boxes(count, 0, grid)
    dets = torch.cat([boxes, scores[:, None]], 1)
    compiled, ours = both(
        monkeypatch,
        lambda: [group.tolist() for group in mmcv_ops.nms_match(dets, iou_threshold)],
    )
    assert compiled == ours


@needs_compiled_mmcv
@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('iou_threshold', [0.0, 0.3, 0.5, 0.6, 0.7, 0.9, 1.0])
@pytest.mark.parametrize(
    'count, grid', [(0, None), (1, None), (300, None), (300, 5), (300, 10)]
)
def test_nms(monkeypatch, count, grid, iou_threshold, offset):
    boxes, scores = make_boxes(count, seed=count, grid=grid)
    compiled, ours = both(
        monkeypatch, lambda: mmcv_ops.nms(boxes, scores, iou_threshold, offset)
    )
    assert torch.equal(compiled[1], ours[1])
    assert torch.equal(compiled[0], ours[0])


@needs_compiled_mmcv
@pytest.mark.parametrize('offset', [0, 1])
def test_nms_of_equal_scores(monkeypatch, offset):
    boxes, scores = make_boxes(300, seed=3, grid=5)
    scores = (scores * 4).round() / 4
    compiled, ours = both(monkeypatch, lambda: mmcv_ops.nms(boxes, scores, 0.5, offset))
    assert torch.equal(compiled[1], ours[1])


@needs_compiled_mmcv
@pytest.mark.parametrize(
    'cfg',
    [
        dict(type='nms', iou_threshold=0.5),
        dict(type='nms', iou_threshold=0.5, class_agnostic=True),
        dict(type='nms', iou_threshold=0.6, max_num=7),
        dict(type='nms', iou_threshold=0.6, split_thr=50),
        dict(type='nms', iou_threshold=0.6, score_threshold=0.4),
        dict(type='soft_nms', iou_threshold=0.3),
        dict(type='soft_nms', method='gaussian', min_score=0.05),
    ],
)
def test_batched_nms(monkeypatch, cfg):
    boxes, scores = make_boxes(200, seed=5, grid=4, smallest=1)
    classes = torch.arange(200) % 3
    compiled, ours = both(
        monkeypatch, lambda: mmcv_ops.batched_nms(boxes, scores, classes, cfg)
    )
    assert torch.equal(compiled[1], ours[1])
    report('batched_nms', compiled[:1], ours[:1])


@needs_compiled_mmcv
@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('method', ['naive', 'linear', 'gaussian'])
@pytest.mark.parametrize('min_score', [1e-3, 0.3])
@pytest.mark.parametrize('ties', [False, True])
@pytest.mark.parametrize('count, grid', [(0, None), (1, None), (120, None), (120, 10)])
def test_soft_nms(monkeypatch, count, grid, ties, min_score, method, offset):
    # Two boxes without area overlap by 0 / 0. From there on mmcv hands NaN
    # out as scores; the stand-in counts no overlap.
    boxes, scores = make_boxes(count, seed=count + 7, grid=grid, smallest=1)
    if ties:
        scores = (scores * 4).round() / 4
    compiled, ours = both(
        monkeypatch,
        lambda: mmcv_ops.soft_nms(
            boxes,
            scores,
            iou_threshold=0.3,
            min_score=min_score,
            method=method,
            offset=offset,
        ),
    )
    assert torch.equal(compiled[1], ours[1])
    report(f'soft_nms {method}', compiled[:1], ours[:1])
