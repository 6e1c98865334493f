"""The served mmcv operators, called through ``mmcv.ops``.

Each is compared with its definition in plain Python or torch, gradients by
autograd; ``tests/mmcv_numbers`` compares them with mmcv's own.
"""

import importlib
import json
import math
import subprocess
import sys
import types
from collections import OrderedDict

import mmreviewkd.compat.ops as served
from mmreviewkd.compat import ensure_mmcv_ops

import numpy as np
import pytest
import torch
import torch.nn.functional as F

ensure_mmcv_ops()
import mmcv.ops  # noqa: E402


@pytest.fixture(autouse=True)
def use_served_operators(monkeypatch):
    """Where mmcv is compiled, test the stand-ins all the same."""
    stand_in = types.SimpleNamespace(
        **{function.__name__: function for function in served.SERVED}
    )
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
        module = importlib.import_module(f'mmcv.ops.{name}')
        monkeypatch.setattr(module, 'ext_module', stand_in)


def assert_same(function, textbook, *inputs):
    """Equal outputs, and equal gradients for every input."""
    inputs = [x.requires_grad_() for x in inputs]
    output, expected = function(*inputs), textbook(*inputs)
    torch.testing.assert_close(output, expected)
    grad = torch.randn_like(output)
    torch.testing.assert_close(
        torch.autograd.grad(output, inputs, grad),
        torch.autograd.grad(expected, inputs, grad),
    )


# ------------------------------------------------------------------- NMS
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


# ------------------------------------------------------------------ RoIs
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
    assert_same(
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
    assert_same(
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


# ------------------------------------------------------------ focal loss
def textbook_focal_loss(logits, target, gamma, alpha, weight=None):
    # the last column, of the background, is cut off again
    positive = F.one_hot(target, logits.size(1) + 1)[:, :-1].bool()
    p = logits.sigmoid()
    loss = torch.where(
        positive,
        -alpha * (1 - p) ** gamma * F.logsigmoid(logits),
        -(1 - alpha) * p**gamma * F.logsigmoid(-logits),
    )
    if weight is not None:
        loss = loss * torch.cat([weight, weight.new_ones(1)])[target][:, None]
    return loss


@pytest.mark.parametrize('reduction', ['none', 'mean', 'sum'])
@pytest.mark.parametrize('weighted', [False, True])
@pytest.mark.parametrize('gamma, alpha', [(2.0, 0.25), (1.5, 0.9), (0.0, 0.5)])
def test_sigmoid_focal_loss(gamma, alpha, weighted, reduction):
    torch.manual_seed(0)
    target = torch.tensor([0, 1, 2, 3, 1, 3])  # 3 is the background
    weight = torch.tensor([0.5, 2.0, 3.0]).double() if weighted else None
    layer = mmcv.ops.SigmoidFocalLoss(gamma, alpha, weight, reduction)
    reduce = {
        'none': lambda loss: loss,
        'sum': torch.sum,
        # mmcv divides by the number of rows
        'mean': lambda loss: loss.sum() / len(target),
    }[reduction]
    assert_same(
        lambda x: layer(x, target),
        lambda x: reduce(textbook_focal_loss(x, target, gamma, alpha, weight)),
        torch.randn(6, 3).double() * 3,
    )


@pytest.mark.parametrize('logit', [-1e4, -200.0, 200.0, 1e4])
def test_sigmoid_focal_loss_of_saturated_logits(logit):
    logits = torch.full((2, 1), logit, requires_grad=True)
    loss = mmcv.ops.sigmoid_focal_loss(
        logits, torch.tensor([0, 1]), 2.0, 0.25, None, 'none'
    )
    loss.sum().backward()
    # right answers cost nothing; wrong ones -log of float32's smallest number
    largest = -math.log(torch.finfo(torch.float32).tiny)
    expected = [[0.25 * largest], [0.0]] if logit < 0 else [[0.0], [0.75 * largest]]
    torch.testing.assert_close(loss, torch.tensor(expected).float())
    assert torch.isfinite(logits.grad).all()


def test_sigmoid_focal_loss_of_nothing():
    logits = torch.zeros(0, 3, requires_grad=True)
    loss = mmcv.ops.sigmoid_focal_loss(
        logits, torch.zeros(0, dtype=torch.long), 2.0, 0.25, None, 'sum'
    )
    assert loss.item() == 0
    loss.backward()
    assert logits.grad.shape == (0, 3)


# ------------------------------------------------ deformable convolution
def textbook_deform_conv(
    x, offset, mask, weight, bias, stride, padding, dilation, groups, deform_groups
):
    """Sum over the kernel's points of a 1x1 convolution of sampled maps."""
    batch, channels, height, width = x.shape
    out_h, out_w = offset.shape[-2:]
    kernel_h, kernel_w = weight.shape[-2:]
    offset = offset.view(batch, deform_groups, -1, 2, out_h, out_w)
    mask = mask.view(batch, deform_groups, -1, out_h, out_w)
    x = x.view(batch * deform_groups, -1, height, width)
    rows = torch.arange(out_h).view(-1, 1) * stride - padding
    columns = torch.arange(out_w).view(1, -1) * stride - padding
    output = 0 if bias is None else bias.view(1, -1, 1, 1)
    for point in range(kernel_h * kernel_w):
        ky, kx = divmod(point, kernel_w)
        y = rows + ky * dilation + offset[:, :, point, 0]
        x_ = columns + kx * dilation + offset[:, :, point, 1]
        # grid_sample's -1 and 1 are the centres of the border cells
        grid = torch.stack([2 * x_ / (width - 1) - 1, 2 * y / (height - 1) - 1], -1)
        sampled = F.grid_sample(x, grid.flatten(0, 1), align_corners=True)
        sampled = sampled * mask[:, :, point].flatten(0, 1)[:, None]
        output = output + F.conv2d(
            sampled.view(batch, channels, out_h, out_w),
            weight[:, :, ky, kx, None, None],
            groups=groups,
        )
    return output


GEOMETRIES = [
    OrderedDict(
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        deform_groups=deform_groups,
    )
    for stride, padding, dilation, groups, deform_groups in [
        (1, 0, 1, 1, 1),
        (1, 1, 1, 1, 1),
        (2, 1, 1, 1, 1),
        (1, 2, 2, 1, 1),
        (1, 1, 1, 2, 1),
        (1, 1, 1, 1, 2),
        (2, 1, 1, 2, 4),
    ]
]


def deform_inputs(geometry, kernel):
    torch.manual_seed(0)
    x, weight = (
        torch.randn(2, 4, 6, 7),
        torch.randn(6, 4 // geometry['groups'], *kernel),
    )
    size = F.conv2d(x, weight, None, *list(geometry.values())[:4]).shape[-2:]
    points = geometry['deform_groups'] * kernel[0] * kernel[1]
    # offsets of a few cells also leave the image
    return [
        value.double()
        for value in (
            x,
            torch.randn(2, 2 * points, *size) * 2,
            torch.rand(2, points, *size),
            weight,
            torch.randn(6),
        )
    ]


@pytest.mark.parametrize('kernel', [(3, 3), (2, 3), (1, 1)])
@pytest.mark.parametrize('geometry', GEOMETRIES)
def test_deform_conv2d(geometry, kernel):
    x, offset, mask, weight, _ = deform_inputs(geometry, kernel)
    assert_same(
        lambda *inputs: mmcv.ops.deform_conv2d(*inputs, *geometry.values()),
        lambda x, offset, weight: textbook_deform_conv(
            x, offset, torch.ones_like(mask), weight, None, **geometry
        ),
        x,
        offset,
        weight,
    )


@pytest.mark.parametrize('with_bias', [True, False])
@pytest.mark.parametrize('kernel', [(3, 3), (2, 3), (1, 1)])
@pytest.mark.parametrize('geometry', GEOMETRIES)
def test_modulated_deform_conv2d(geometry, kernel, with_bias):
    inputs = deform_inputs(geometry, kernel)
    bias = inputs.pop()
    if with_bias:
        inputs.append(bias)

    def run(x, offset, mask, weight, bias=None):
        return mmcv.ops.modulated_deform_conv2d(
            x, offset, mask, weight, bias, *geometry.values()
        )

    def textbook(x, offset, mask, weight, bias=None):
        return textbook_deform_conv(x, offset, mask, weight, bias, **geometry)

    assert_same(run, textbook, *inputs)


@pytest.mark.parametrize('needed', [(0,), (1,), (2,), (0, 2), (1, 2)])
def test_deform_conv2d_where_some_inputs_need_no_gradient(needed):
    # mmcv asks for the weight's gradient in a call of its own, and leaves the
    # other call out where only the weight needs one
    x, offset, mask, weight, _ = deform_inputs(GEOMETRIES[1], (3, 3))
    inputs = [x, offset, weight]
    for i in needed:
        inputs[i].requires_grad_()
    output = mmcv.ops.deform_conv2d(*inputs, *GEOMETRIES[1].values())
    expected = textbook_deform_conv(
        x, offset, torch.ones_like(mask), weight, None, **GEOMETRIES[1]
    )
    leaves = [inputs[i] for i in needed]
    # twice, so that nothing of the first pass serves the second
    for _ in range(2):
        grad = torch.randn_like(output)
        torch.testing.assert_close(
            torch.autograd.grad(output, leaves, grad, retain_graph=True),
            torch.autograd.grad(expected, leaves, grad, retain_graph=True),
        )


def test_deform_conv2d_without_offsets_is_a_convolution():
    torch.manual_seed(0)
    x = torch.randn(2, 4, 6, 7)
    layer = mmcv.ops.DeformConv2d(4, 6, 3, padding=1)
    torch.testing.assert_close(
        layer(x, torch.zeros(2, 18, 6, 7)), F.conv2d(x, layer.weight, padding=1)
    )
    # packs begin with offsets of zero, and version 2 with masks of 1/2
    layer = mmcv.ops.DeformConv2dPack(4, 6, 3, padding=1)
    torch.testing.assert_close(layer(x), F.conv2d(x, layer.weight, padding=1))
    layer = mmcv.ops.ModulatedDeformConv2dPack(4, 6, 3, padding=1)
    torch.testing.assert_close(
        layer(x),
        F.conv2d(x, layer.weight, padding=1) / 2 + layer.bias.view(1, -1, 1, 1),
    )


@pytest.mark.parametrize('name', ['DeformConv2dPack', 'ModulatedDeformConv2dPack'])
def test_packs_train(name):
    torch.manual_seed(0)
    layer = getattr(mmcv.ops, name)(4, 6, 3, padding=1, deform_groups=2)
    layer(torch.randn(2, 4, 6, 7)).square().mean().backward()
    for key, parameter in layer.named_parameters():
        assert parameter.grad.abs().sum() > 0, key


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_deform_conv2d_in_half_precision(dtype):
    inputs = [
        x.to(dtype).float().requires_grad_()
        for x in deform_inputs(GEOMETRIES[1], (3, 3))
    ]
    halves = [x.detach().to(dtype).requires_grad_() for x in inputs]
    expected = mmcv.ops.modulated_deform_conv2d(*inputs, 1, 1)
    output = mmcv.ops.modulated_deform_conv2d(*halves, 1, 1)
    assert output.dtype == dtype
    torch.testing.assert_close(output, expected.to(dtype))
    expected.sum().backward()
    output.sum().backward()
    for exact, half in zip(inputs, halves):
        torch.testing.assert_close(
            half.grad, exact.grad.to(dtype), rtol=0.02, atol=0.02
        )


def test_modulated_deform_conv2d_with_offsets_of_a_larger_map():
    """As DyHead calls it, for a level of half the offsets' size."""
    x, offset, _mask, weight, bias = deform_inputs(GEOMETRIES[1], (3, 3))
    cells = offset.size(2) * offset.size(3)
    larger = [torch.randn(2, channels, 12, 14).double() for channels in (18, 9)]

    def run(x, offset, mask, weight, bias):
        return mmcv.ops.modulated_deform_conv2d(
            x, offset, mask, weight, bias, *GEOMETRIES[1].values()
        )

    def textbook(x, offset, mask, weight, bias):
        # mmcv walks through the memory of each image
        offset, mask = (
            v.flatten(1)[:, : v.size(1) * cells].reshape(2, v.size(1), 6, 7)
            for v in (offset, mask)
        )
        return textbook_deform_conv(x, offset, mask, weight, bias, **GEOMETRIES[1])

    assert_same(run, textbook, x, *larger, weight, bias)


# ---------------------------------------------- masked convolution, CARAFE
@pytest.mark.parametrize('kernel, padding', [(3, 1), ((1, 3), (0, 1)), (1, 0)])
def test_masked_conv2d(kernel, padding):
    torch.manual_seed(0)
    layer = mmcv.ops.MaskedConv2d(3, 4, kernel, padding=padding)
    x = torch.randn(1, 3, 5, 7)
    for mask in (torch.rand(1, 5, 7) > 0.5, torch.zeros(1, 5, 7)):
        with torch.no_grad():
            output, expected = layer(x, mask), layer(x) * (mask > 0)
        torch.testing.assert_close(output, expected)


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
    assert_same(
        lambda *x: mmcv.ops.carafe(*x, *settings),
        lambda *x: textbook_carafe(*x, *settings),
        torch.randn(2, 4, 3, 4).double(),
        torch.rand(2, groups * kernel**2, 3 * scale, 4 * scale).double(),
    )


# ------------------------------------------------------------ the stand-in
def run_python(code):
    """Last line that ``code`` prints, as JSON, and what it prints before."""
    result = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    *log, last = result.stdout.splitlines()
    return json.loads(last), '\n'.join(log) + result.stderr


@pytest.fixture(scope='module')
def without_extension():
    """What happens in a process where mmcv has no compiled operators."""
    return run_python("""
import sys
sys.modules['mmcv._ext'] = None  # makes its import fail
from mmreviewkd.compat import ensure_mmcv_ops
first = ensure_mmcv_ops()
extension = sys.modules['mmcv._ext']
again = ensure_mmcv_ops()

import mmdet.models
import mmcv.ops
import torch
from mmcv.utils import ext_loader
ext_loader.load_ext('_ext', ['nms', 'carafe_forward', 'no_such_operator'])

errors = {}
for name, call in dict(
        ball_query=lambda: mmcv.ops.ball_query(
            0, 1, 2, torch.zeros(1, 3, 3), torch.zeros(1, 2, 3)),
        border_align=lambda: mmcv.ops.border_align(
            torch.zeros(1, 4, 2, 2), torch.zeros(1, 4, 4), 1),
        info=mmcv.ops.get_compiler_version).items():
    try:
        errors[name] = call()
    except NotImplementedError as error:
        errors[name] = str(error)

import json
print(json.dumps(dict(
    first=first, again=again,
    same=sys.modules['mmcv._ext'] is extension,
    attribute=mmcv._ext is extension,
    exists=ext_loader.check_ops_exist(),
    dunder=hasattr(extension, '__path__'),
    kept=mmcv.ops.nms(torch.tensor([[0., 0., 9., 9.], [0., 0., 9., 8.]]),
                      torch.tensor([0.1, 0.2]), 0.5)[1].tolist(),
    errors=errors)))
""")


def test_mmdet_imports_and_operators_work(without_extension):
    result, _ = without_extension
    assert result['first'] == 'torchvision'
    assert result['kept'] == [1]
    # mmcv's own checks find the module and any operator in it
    assert result['exists'] and result['attribute']
    # but the import system must not take it for a package
    assert not result['dunder']


def test_a_second_call_changes_nothing(without_extension):
    result, log = without_extension
    assert result['again'] == 'torchvision' and result['same']
    assert log.count('mmcv operators: torchvision kernels') == 1


def test_the_log_says_what_serves_and_why(without_extension):
    _, log = without_extension
    (line,) = (line for line in log.splitlines() if 'mmcv operators' in line)
    assert 'torchvision kernels (' in line
    assert 'mmcv._ext' in line  # the import error
    assert 'raises when called' in line


@pytest.mark.parametrize('name', ['ball_query', 'border_align'])
def test_an_operator_that_is_not_served(without_extension, name):
    message = without_extension[0]['errors'][name]
    assert f'mmcv operator "{name}_forward" is not available' in message
    assert 'no compiled operators' in message
    assert 'mim install' in message and 'mmcv>=2.0.0,<2.2.0' in message


def test_compiler_versions_say_that_there_is_none(without_extension):
    assert without_extension[0]['errors']['info'].startswith('none')


def test_a_working_extension_is_left_untouched():
    result, log = run_python("""
import json, sys, types
fake = sys.modules['mmcv._ext'] = types.ModuleType('mmcv._ext')
from mmreviewkd.compat import ensure_mmcv_ops
served = ensure_mmcv_ops()
print(json.dumps([served, sys.modules['mmcv._ext'] is fake, vars(fake).keys()
                  == vars(types.ModuleType('mmcv._ext')).keys()]))
""")
    assert result == ['mmcv', True, True]
    assert "mmcv operators: mmcv's own compiled ones" in log


def test_an_extension_of_another_torch_is_replaced():
    # such a library exists, and fails to load
    result, log = run_python("""
import json, sys

class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == 'mmcv._ext':
            raise ImportError('_ext.so: undefined symbol: _ZN2at4_ops')

sys.meta_path.insert(0, Finder)
from mmreviewkd.compat import ensure_mmcv_ops
served = ensure_mmcv_ops()
import mmcv.ops
print(json.dumps(served))
""")
    assert result == 'torchvision'
    assert '(_ext.so: undefined symbol: _ZN2at4_ops)' in log
