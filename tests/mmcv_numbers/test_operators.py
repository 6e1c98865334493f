"""The served operators against mmcv's own, values and gradients.

Everything runs through ``mmcv.ops``, once on the compiled extension and once
on the functions that stand in for it. mmcv has RoIPool, the focal loss, CARAFE
and the masked convolution for CUDA alone: without a GPU, their kernels'
source, which mmcv ships, is compiled for the CPU.
"""

import ctypes
import importlib
import os.path as osp
import shutil
import subprocess
import types

import mmreviewkd.compat.ops as served
from mmreviewkd.compat import ensure_mmcv_ops

import pytest
import torch

mmcv_ops = pytest.importorskip('mmcv.ops')
pytestmark = pytest.mark.mmcv

needs_compiled_mmcv = pytest.mark.skipif(
    ensure_mmcv_ops() != 'mmcv', reason='this mmcv is not compiled'
)
CSRC = osp.join(osp.dirname(mmcv_ops.__file__), 'csrc', 'common', 'cuda')
needs_kernel_source = pytest.mark.skipif(
    not (osp.isdir(CSRC) and shutil.which('c++')),
    reason="needs a C++ compiler, and an mmcv that ships its kernels' source",
)

STAND_IN = types.SimpleNamespace(
    **{function.__name__: function for function in served.SERVED}
)
TOLERANCE = dict(rtol=1e-5, atol=1e-5)


def both(monkeypatch, function):
    """``function()`` on the compiled operators, and on those served."""
    compiled = function()
    with monkeypatch.context() as patch:
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
            # by import_module: mmcv.ops has functions of the same names
            module = importlib.import_module(f'mmcv.ops.{name}')
            patch.setattr(module, 'ext_module', STAND_IN)
        return compiled, function()


def with_gradients(function, *inputs):
    """Output and gradients for a fixed random output gradient."""
    inputs = [x.detach().clone().requires_grad_() for x in inputs]
    output = function(*inputs)
    generator = torch.Generator().manual_seed(1)
    grad = torch.randn(output.shape, generator=generator).to(output)
    return (output.detach(), *torch.autograd.grad(output, inputs, grad))


def report(name, compiled, ours):
    """Assert closeness, and print how close; ``pytest -s`` shows it."""
    largest = max(
        [(a - b).abs().max().item() for a, b in zip(compiled, ours) if a.numel()]
        or [0.0]
    )
    print(f'{name}: largest difference {largest:.1e}')
    torch.testing.assert_close(ours, compiled, equal_nan=True, **TOLERANCE)


def make_boxes(count, seed, grid=None, smallest=0):
    """Boxes and scores; on a coarse grid many overlaps are exact fractions."""
    generator = torch.Generator().manual_seed(seed)
    boxes = torch.rand(count, 4, generator=generator) * 50
    boxes[:, 2:] = boxes[:, :2] + boxes[:, 2:] * 0.6
    if grid:
        boxes = (boxes / grid).round() * grid
    boxes[:, 2:] = boxes[:, 2:].maximum(boxes[:, :2] + smallest)
    return boxes, torch.rand(count, generator=generator)


# ------------------------------------------------------------------- NMS
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


# ------------------------------------------------------------------ RoIs
def make_rois(count, seed, batch, size):
    """RoIs of all sizes, some beyond the image, some smaller than a cell."""
    generator = torch.Generator().manual_seed(seed)
    rois = torch.rand(count, 5, generator=generator)
    rois[:, 0] = torch.arange(count) % batch
    rois[:, 1:3] = rois[:, 1:3] * 1.2 * size - 0.1 * size
    rois[:, 3:] = rois[:, 1:3] + rois[:, 3:] ** 3 * size
    return rois


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


def call(library, name, *args):
    """Call a C function on tensors' memory and numbers."""
    kinds = {int: ctypes.c_int, float: ctypes.c_float}
    getattr(library, name)(
        *(
            ctypes.c_void_p(arg.data_ptr() if arg.numel() else None)
            if isinstance(arg, torch.Tensor)
            else kinds[type(arg)](arg)
            for arg in args
        )
    )


@pytest.fixture(scope='module')
def kernels(tmp_path_factory):
    """mmcv's kernels of operators that it has for CUDA alone, on the CPU."""
    folder = tmp_path_factory.mktemp('kernels')
    # the kernels include this for CUDA's names, which kernels.cpp defines
    (folder / 'pytorch_cuda_helper.hpp').touch()
    subprocess.run(
        [
            'c++',
            '-O1',
            '-ffp-contract=off',
            '-shared',
            '-fPIC',
            '-I',
            str(folder),
            '-I',
            CSRC,
            osp.join(osp.dirname(__file__), 'kernels.cpp'),
            '-o',
            str(folder / 'kernels.so'),
        ],
        check=True,
    )
    library = ctypes.CDLL(str(folder / 'kernels.so'))

    def focal_forward(input, target, weight, output, gamma, alpha):
        call(
            library,
            'focal_forward',
            input.numel(),
            input,
            target,
            weight,
            output,
            gamma,
            alpha,
            input.size(1),
        )

    def focal_backward(input, target, weight, grad_input, gamma, alpha):
        call(
            library,
            'focal_backward',
            input.numel(),
            input,
            target,
            weight,
            grad_input,
            gamma,
            alpha,
            input.size(1),
        )

    def roi_pool_forward(
        input, rois, output, argmax, pooled_height, pooled_width, spatial_scale
    ):
        call(
            library,
            'roi_pool_forward',
            output.numel(),
            input,
            rois,
            output,
            argmax,
            pooled_height,
            pooled_width,
            spatial_scale,
            *input.shape[1:],
        )

    def roi_pool_backward(
        grad_output,
        rois,
        argmax,
        grad_input,
        pooled_height,
        pooled_width,
        spatial_scale,
    ):
        call(
            library,
            'roi_pool_backward',
            grad_output.numel(),
            grad_output,
            rois,
            argmax,
            grad_input,
            pooled_height,
            pooled_width,
            *grad_input.shape[1:],
        )

    def masked_im2col(features, rows, columns, data_col, **sizes):
        call(
            library,
            'masked_im2col',
            features.size(1) * len(rows),
            features,
            *features.shape[2:],
            *sizes.values(),
            rows,
            columns,
            len(rows),
            data_col,
        )

    def masked_col2im(data_col, rows, columns, output, height, width, channels):
        call(
            library,
            'masked_col2im',
            data_col.numel(),
            data_col,
            height,
            width,
            channels,
            rows,
            columns,
            len(rows),
            output,
        )

    def carafe_forward(features, masks, rfeatures, routput, rmasks, output, **sizes):
        # the naive kernel: the other one is the same, in blocks of threads
        rfeatures.copy_(features)
        call(
            library,
            'carafe_forward',
            output.numel(),
            features,
            masks,
            output,
            *sizes.values(),
            *output.shape[1:],
        )

    def carafe_backward(
        grad_output,
        rfeatures,
        masks,
        rgrad_output,
        rgrad_input_hs,
        rgrad_input,
        rgrad_masks,
        grad_input,
        grad_masks,
        **sizes,
    ):
        call(
            library,
            'carafe_backward',
            grad_output.numel(),
            grad_output,
            rfeatures,
            masks,
            grad_input,
            grad_masks,
            *sizes.values(),
            *grad_output.shape[1:],
        )

    return types.SimpleNamespace(
        masked_im2col_forward=masked_im2col,
        masked_col2im_forward=masked_col2im,
        carafe_forward=carafe_forward,
        carafe_backward=carafe_backward,
        sigmoid_focal_loss_forward=focal_forward,
        sigmoid_focal_loss_backward=focal_backward,
        roi_pool_forward=roi_pool_forward,
        roi_pool_backward=roi_pool_backward,
    )


def with_kernels(monkeypatch, module, kernels, function):
    module = importlib.import_module(f'mmcv.ops.{module}')
    monkeypatch.setattr(module, 'ext_module', kernels)
    return both(monkeypatch, function)


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


# ------------------------------------------------------------ focal loss
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


# ------------------------------------------------ deformable convolution
GEOMETRIES = [
    dict(),
    dict(padding=1),
    dict(stride=2, padding=1),
    dict(dilation=2, padding=(2, 1)),
    dict(stride=(1, 2), padding=(0, 2)),
    dict(padding=1, groups=2),
    dict(padding=1, deform_groups=2),
    dict(padding=1, groups=2, deform_groups=4),
]


def deform_inputs(geometry, kernel=(3, 3), batch=2):
    torch.manual_seed(0)
    # offsets of a few cells also leave the image
    layer = mmcv_ops.ModulatedDeformConv2d(4, 6, kernel, **geometry)
    x = torch.randn(batch, 4, 9, 11)
    with torch.no_grad():
        size = torch.nn.functional.conv2d(
            x,
            layer.weight,
            None,
            layer.stride,
            layer.padding,
            layer.dilation,
            layer.groups,
        ).shape[-2:]
    points = layer.deform_groups * kernel[0] * kernel[1]
    return (
        x,
        torch.randn(batch, 2 * points, *size) * 2,
        torch.rand(batch, points, *size),
        torch.randn_like(layer.weight),
        torch.randn(6),
    )


@needs_compiled_mmcv
@pytest.mark.parametrize('kernel', [(3, 3), (1, 1), (2, 3)])
@pytest.mark.parametrize('geometry', GEOMETRIES)
def test_deform_conv2d(monkeypatch, geometry, kernel):
    x, offset, _, weight, _ = deform_inputs(geometry, kernel)
    compiled, ours = both(
        monkeypatch,
        lambda: with_gradients(
            lambda x, offset, weight: mmcv_ops.deform_conv2d(
                x,
                offset,
                weight,
                *(geometry.get(name, default) for name, default in DEFAULTS),
            ),
            x,
            offset,
            weight,
        ),
    )
    report('DeformConv2d', compiled, ours)


@needs_compiled_mmcv
@pytest.mark.parametrize('with_bias', [True, False])
@pytest.mark.parametrize('kernel', [(3, 3), (1, 1), (2, 3)])
@pytest.mark.parametrize('geometry', GEOMETRIES)
def test_modulated_deform_conv2d(monkeypatch, geometry, kernel, with_bias):
    x, offset, mask, weight, bias = deform_inputs(geometry, kernel)
    inputs = (x, offset, mask, weight) + ((bias,) if with_bias else ())

    def run(x, offset, mask, weight, bias=None):
        return mmcv_ops.modulated_deform_conv2d(
            x,
            offset,
            mask,
            weight,
            bias,
            *(geometry.get(name, default) for name, default in DEFAULTS),
        )

    compiled, ours = both(monkeypatch, lambda: with_gradients(run, *inputs))
    report('ModulatedDeformConv2d', compiled, ours)


DEFAULTS = [
    ('stride', 1),
    ('padding', 0),
    ('dilation', 1),
    ('groups', 1),
    ('deform_groups', 1),
]


@needs_compiled_mmcv
def test_deform_conv2d_weight_gradient_alone(monkeypatch):
    # then mmcv leaves out the call that has all gradients computed
    x, offset, _, weight, _ = deform_inputs(dict(padding=1))
    compiled, ours = both(
        monkeypatch,
        lambda: with_gradients(
            lambda w: mmcv_ops.deform_conv2d(x, offset, w, 1, 1), weight
        ),
    )
    report('DeformConv2d', compiled, ours)


@needs_compiled_mmcv
@pytest.mark.parametrize('name', ['DeformConv2dPack', 'ModulatedDeformConv2dPack'])
def test_packs(monkeypatch, name):
    torch.manual_seed(0)
    layer = getattr(mmcv_ops, name)(4, 6, 3, padding=1, deform_groups=2)
    torch.nn.init.normal_(layer.conv_offset.weight, std=0.3)
    compiled, ours = both(
        monkeypatch,
        lambda: with_gradients(
            lambda x: layer(x),
            torch.randn(2, 4, 9, 11, generator=torch.Generator().manual_seed(0)),
        ),
    )
    report(name, compiled, ours)


@needs_compiled_mmcv
def test_modulated_deform_conv2d_with_offsets_of_a_larger_map(monkeypatch):
    """As DyHead calls it; mmcv reads the first of each image's offsets."""
    x, _, _, weight, bias = deform_inputs(dict(padding=1))
    inputs = (x, torch.randn(2, 18, 18, 22), torch.rand(2, 9, 18, 22), weight, bias)
    compiled, ours = both(
        monkeypatch,
        lambda: with_gradients(
            lambda *x: mmcv_ops.modulated_deform_conv2d(*x, 1, 1), *inputs
        ),
    )
    report('ModulatedDeformConv2d, larger offsets', compiled, ours)


# ---------------------------------------------- masked convolution, CARAFE
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
