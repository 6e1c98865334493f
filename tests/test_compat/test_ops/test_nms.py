"""Non-maximum suppression in all its kinds, against plain Python."""

import math

import mmcv.ops
import numpy as np
import pytest
import torch


def overlap(a, b, offset):
    width = max(min(a[2], b[2]) - max(a[0], b[0]) + offset, 0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]) + offset, 0)
    area_a, area_b = (
        (box[2] - box[0] + offset) * (box[3] - box[1] + offset) for box in (a, b)
    )
    union = area_a + area_b - width * height
    return width * height / union if union else 0.0


def textbook_nms(boxes, scores, iou_threshold, offset=0):
    boxes, kept = boxes.tolist(), []
    for i in scores.argsort(descending=True, stable=True).tolist():
        if all(overlap(boxes[i], boxes[k], offset) <= iou_threshold for k in kept):
            kept.append(i)
    return kept


@pytest.mark.parametrize('iou_threshold', [0.2, 0.5, 0.8])
def test_nms_match(iou_threshold):
    torch.manual_seed(0)
    dets = torch.rand(30, 5) * 20
    dets[:, 2:4] += dets[:, :2]
    boxes, groups = dets[:, :4].tolist(), []
    left = dets[:, 4].argsort(descending=True).tolist()
    while left:
        groups.append(
            [
                i
                for i in left
                if i == left[0] or overlap(boxes[left[0]], boxes[i], 0) >= iou_threshold
            ]
        )
        left = [i for i in left if i not in groups[-1]]
    found = mmcv.ops.nms_match(dets, iou_threshold)
    assert [group.tolist() for group in found] == groups
    assert mmcv.ops.nms_match(dets[:0], iou_threshold) == []


def textbook_soft_nms(boxes, scores, decay, min_score, offset):
    boxes, scores = boxes.tolist(), scores.tolist()
    left, kept = list(range(len(boxes))), []
    while left:
        best = max(left, key=lambda i: scores[i])
        kept.append(best)
        left.remove(best)
        for i in left:
            scores[i] *= decay(overlap(boxes[best], boxes[i], offset))
        left = [i for i in left if scores[i] >= min_score]
    return kept, [scores[i] for i in kept]


def make_boxes(count=40, seed=0):
    generator = torch.Generator().manual_seed(seed)
    boxes = torch.rand(count, 4, generator=generator) * 20
    boxes[:, 2:] = boxes[:, :2] + boxes[:, 2:] + 1
    return boxes, torch.rand(count, generator=generator)


@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('iou_threshold', [0.1, 0.5, 0.9])
def test_nms(iou_threshold, offset):
    boxes, scores = make_boxes()
    expected = textbook_nms(boxes, scores, iou_threshold, offset)
    assert 1 < len(expected) < 40 or iou_threshold == 0.9
    dets, kept = mmcv.ops.nms(boxes, scores, iou_threshold, offset)
    assert kept.tolist() == expected
    assert torch.equal(dets, torch.cat([boxes, scores[:, None]], 1)[kept])


def test_nms_offset_matters():
    # pixels 0..3 and 2..5: 2 of 6 columns are shared, or 1 of 5 where the
    # coordinates are edges
    boxes = torch.tensor([[0.0, 0.0, 3.0, 9.0], [2.0, 0.0, 5.0, 9.0]])
    scores = torch.tensor([0.9, 0.8])
    assert mmcv.ops.nms(boxes, scores, 0.3, offset=0)[1].tolist() == [0, 1]
    assert mmcv.ops.nms(boxes, scores, 0.3, offset=1)[1].tolist() == [0]


@pytest.mark.parametrize('iou_threshold', [0.6, 0.2, 0.7])
def test_nms_keeps_an_overlap_equal_to_the_threshold(iou_threshold):
    # 6, 2 or 7 of 10 columns: as float32, 0.6 is above and 0.7 below the
    # decimal number, and mmcv compares in float32
    columns = iou_threshold * 10
    boxes = torch.tensor([[0.0, 0.0, 10.0, 1.0], [0.0, 0.0, columns, 1.0]])
    scores = torch.tensor([0.9, 0.8])
    assert mmcv.ops.nms(boxes, scores, iou_threshold)[1].tolist() == [0, 1]
    below = iou_threshold - 1e-6
    assert mmcv.ops.nms(boxes, scores, below)[1].tolist() == [0]


def test_nms_of_nothing():
    dets, kept = mmcv.ops.nms(torch.zeros(0, 4), torch.zeros(0), 0.5)
    assert dets.shape == (0, 5) and kept.shape == (0,)
    assert kept.dtype == torch.long


def test_nms_of_numpy_arrays():
    boxes, scores = make_boxes()
    _, expected = mmcv.ops.nms(boxes, scores, 0.5)
    dets, kept = mmcv.ops.nms(boxes.numpy(), scores.numpy(), 0.5)
    assert isinstance(kept, np.ndarray) and dets.dtype == np.float32
    assert kept.tolist() == expected.tolist()


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_nms_in_half_precision(dtype):
    boxes, scores = (x.to(dtype) for x in make_boxes())
    _, kept = mmcv.ops.nms(boxes, scores, 0.5)
    assert kept.tolist() == mmcv.ops.nms(boxes.float(), scores.float(), 0.5)[1].tolist()


def test_nms_score_threshold_and_max_num():
    boxes, scores = make_boxes()
    expected = [i for i in textbook_nms(boxes, scores, 0.3) if scores[i] > 0.5]
    assert len(expected) > 3
    _, kept = mmcv.ops.nms(boxes, scores, 0.3, score_threshold=0.5, max_num=3)
    assert kept.tolist() == expected[:3]


@pytest.mark.parametrize('split_thr', [10000, 10])
def test_batched_nms_keeps_classes_apart(split_thr):
    boxes, scores = make_boxes()
    classes = torch.arange(40) % 3
    dets, kept = mmcv.ops.batched_nms(
        boxes, scores, classes, dict(iou_threshold=0.4, split_thr=split_thr)
    )
    expected = []
    for c in range(3):
        index = (classes == c).nonzero().flatten()
        expected += index[textbook_nms(boxes[index], scores[index], 0.4)].tolist()
    expected.sort(key=lambda i: -scores[i])
    assert kept.tolist() == expected
    torch.testing.assert_close(dets[:, 4], scores[kept])
    _, agnostic = mmcv.ops.batched_nms(
        boxes, scores, classes, dict(iou_threshold=0.4), class_agnostic=True
    )
    assert agnostic.tolist() == textbook_nms(boxes, scores, 0.4)


@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize(
    'method, decay',
    [
        ('naive', lambda iou: 0.0 if iou >= 0.3 else 1.0),
        ('linear', lambda iou: 1 - iou if iou >= 0.3 else 1.0),
        ('gaussian', lambda iou: math.exp(-(iou**2) / 0.5)),
    ],
)
def test_soft_nms(method, decay, offset):
    boxes, scores = make_boxes()
    expected, decayed = textbook_soft_nms(boxes, scores, decay, 0.1, offset)
    assert 1 < len(expected) < 40
    dets, kept = mmcv.ops.soft_nms(
        boxes,
        scores,
        iou_threshold=0.3,
        sigma=0.5,
        min_score=0.1,
        method=method,
        offset=offset,
    )
    assert kept.tolist() == expected
    assert torch.equal(dets[:, :4], boxes[kept])
    assert dets[:, 4].tolist() == pytest.approx(decayed, rel=1e-5)


def test_soft_nms_of_few():
    dets, kept = mmcv.ops.soft_nms(torch.zeros(0, 4), torch.zeros(0))
    assert dets.shape == (0, 5) and kept.shape == (0,)
    box, score = torch.tensor([[1.0, 2.0, 3.0, 4.0]]), torch.tensor([0.3])
    dets, kept = mmcv.ops.soft_nms(box, score)
    assert kept.tolist() == [0]
    assert dets.tolist() == [[1, 2, 3, 4, score.item()]]


def test_soft_nms_of_boxes_without_area():
    # their overlap is 0 / 0; neither may get a score of NaN
    boxes = torch.tensor([[1.0, 1.0, 1.0, 5.0], [1.0, 1.0, 1.0, 5.0]])
    for method in ('linear', 'gaussian'):
        dets, kept = mmcv.ops.soft_nms(boxes, torch.tensor([0.5, 0.75]), method=method)
        assert kept.tolist() == [1, 0]
        assert dets[:, 4].tolist() == [0.75, 0.5]
