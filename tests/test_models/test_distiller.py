"""The distiller: what it computes, what it leaves alone, what it refuses."""

import copy

from mmreviewkd.errors import UserInputError
from tests.support.batches import batch
from tests.support.checkpoints import snapshot
from tests.support.detectors import save_weights, tiny_detector
from tests.support.students import losses_of

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.model import ExponentialMovingAverage
from mmengine.optim import OptimWrapper
from mmengine.runner.checkpoint import get_state_dict, load_state_dict
from torch import nn


def test_a_step_moves_student_and_review_and_nothing_of_the_teacher(distiller):
    model = distiller().train()
    before = snapshot(model)
    teacher = snapshot(model.distillation.teacher)
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    model.train_step(batch(), wrapper)
    for key, value in model.distillation.teacher.state_dict().items():
        assert torch.equal(value, teacher[key]), key
    assert not any(m.training for m in model.distillation.teacher.modules())
    assert all(
        p.grad is None and not p.requires_grad
        for p in model.distillation.teacher.parameters()
    )
    still = [
        key
        for key, value in model.state_dict().items()
        if torch.equal(value, before[key])
    ]
    # the classifier's rows of classes that no sample has may stand still
    assert [key for key in still if 'head' not in key] == ['review._extra_state']
    assert any(key.startswith('review.levels.0') for key in before)


def test_names_are_the_plain_students(distiller):
    model, plain = distiller(), MODELS.build(tiny_detector())
    review = {f'review.{key}' for key in model.review.state_dict()}
    for state in (model.state_dict(), get_state_dict(model)):
        assert set(state) == set(plain.state_dict()) | review
    assert {n for n, _ in model.named_parameters()} - review == {
        n for n, _ in plain.named_parameters()
    }
    # versions, by which mmdet's heads and BatchNorm tell old checkpoints
    metadata = model.state_dict()._metadata
    assert set(plain.state_dict()._metadata) <= set(metadata)
    assert metadata['backbone.bn1']['version'] == 2
    mine = dict(model.state_dict())
    result = plain.load_state_dict(mine, strict=False)
    assert not result.missing_keys and set(result.unexpected_keys) == review
    assert model.bbox_head if hasattr(plain, 'bbox_head') else model.roi_head


def test_a_plain_checkpoint_starts_the_student(distiller, tmp_path):
    path = save_weights(tiny_detector(), tmp_path / 'plain.pth', seed=7)
    weights = torch.load(path, weights_only=True)['state_dict']
    model = distiller()
    review = snapshot(model.review)
    load_state_dict(model, weights, strict=False)
    for key, value in weights.items():
        assert torch.equal(model.state_dict()[key], value)
    for key, value in model.review.state_dict().items():
        assert torch.equal(review[key], value)


def test_other_modes_run_the_student_alone(distiller, monkeypatch):
    model = distiller().eval()
    plain = MODELS.build(tiny_detector()).eval()
    plain.load_state_dict(model.state_dict(), strict=False)
    monkeypatch.setattr(model.distillation.teacher, 'forward', None)
    monkeypatch.setattr(model.review, 'loss', None)
    data = batch()
    with torch.no_grad():
        mine, theirs = (m.test_step(copy.deepcopy(data)) for m in (model, plain))
        inputs = model.data_preprocessor(copy.deepcopy(data))
        tensors = [m(**inputs, mode='tensor') for m in (model, plain)]
    for a, b in zip(mine, theirs):
        assert torch.equal(a.pred_instances.scores, b.pred_instances.scores)
        assert torch.equal(a.pred_instances.bboxes, b.pred_instances.bboxes)
    assert torch.equal(tensors[0][0][0], tensors[1][0][0])


def test_teacher_is_outside_whatever_is_called(distiller):
    model = distiller()
    teacher = snapshot(model.distillation.teacher)
    own = {id(p) for p in model.parameters()} | {id(b) for b in model.buffers()}
    assert not own & {
        id(t)
        for t in [
            *model.distillation.teacher.parameters(),
            *model.distillation.teacher.buffers(),
        ]
    }
    assert not any('teacher' in name for name, _ in model.named_modules())
    for call in (
        model.train,
        model.eval,
        lambda: model.train(True),
        model.init_weights,
        lambda: model.requires_grad_(True),
        model.distillation.teacher.train,
    ):
        call()
        assert not any(m.training for m in model.distillation.teacher.modules())
        assert not any(p.requires_grad for p in model.distillation.teacher.parameters())
    for key, value in model.distillation.teacher.state_dict().items():
        assert torch.equal(value, teacher[key])


def test_teacher_moves_with_the_model(distiller):
    model = distiller()
    for dtype in (torch.float64, torch.float16, torch.float32):
        model.to(dtype=dtype)
        assert {p.dtype for p in model.distillation.teacher.parameters()} == {dtype}
        assert {p.dtype for p in model.parameters()} == {dtype}
    assert next(model.half().distillation.teacher.parameters()).dtype == torch.float16
    model.to('meta')
    assert {p.device.type for p in model.distillation.teacher.parameters()} == {'meta'}


def test_train_mode_reaches_student_and_children(distiller):
    model = distiller()
    for mode in (False, True):
        model.train(mode)
        assert model.training == mode
        assert model.review.levels[0].output.bn.training == mode
        assert model.backbone.bn1.training == mode


def test_init_weights_reaches_the_students_own_init_cfg(distiller, tmp_path):
    path = save_weights(tiny_detector(), tmp_path / 'plain.pth', seed=7)
    student = tiny_detector()
    student.init_cfg = dict(type='Pretrained', checkpoint=path)
    model = distiller(student=student)
    model.init_weights()
    expected = torch.load(path, weights_only=True)['state_dict']
    assert torch.equal(model.backbone.conv1.weight, expected['backbone.conv1.weight'])


def test_copies_are_whole_and_share_the_teacher(distiller):
    model = distiller()
    ema = ExponentialMovingAverage(model)
    copied = ema.module
    assert copied.distillation.teacher is model.distillation.teacher
    assert copied.distillation is not model.distillation
    assert copied.backbone is not model.backbone
    assert {k[7:] for k in ema.state_dict() if k != 'steps'} == set(model.state_dict())
    assert torch.isfinite(losses_of(copied)['loss_review'])


def test_a_replaced_child_is_replaced_for_the_student_too(distiller):
    model = nn.SyncBatchNorm.convert_sync_batchnorm(distiller())
    assert isinstance(model.review.levels[0].output.bn, nn.SyncBatchNorm)
    assert isinstance(model.backbone.bn1, nn.SyncBatchNorm)
    assert isinstance(model.distillation.teacher.model.backbone.bn1, nn.BatchNorm2d)
    model.neck = neck = nn.Identity()
    assert model.neck is neck


def test_probing_levels_leaves_the_student_as_built(distiller):
    torch.manual_seed(5)
    model = distiller()
    torch.manual_seed(5)
    plain = MODELS.build(tiny_detector())
    for key, value in plain.state_dict().items():
        assert torch.equal(model.state_dict()[key], value), key
    assert model.training and model.backbone.bn1.training


@pytest.mark.parametrize(
    'replaced, message',
    [
        (
            dict(teacher=None),
            'ReviewKD needs teacher=dict(config=..., '
            'checkpoint=..., scale=..., weights=...',
        ),
        (dict(teacher=dict(config='x.py')), 'missing checkpoint'),
        (
            dict(teacher=dict(config='x.py', checkpoint='x.pth', weight=1)),
            'unknown weight',
        ),
        (dict(review=None), 'ReviewKD needs review=dict(weight=..., mid_channels=...'),
        (dict(review=dict(wieght=1.0)), 'unknown wieght'),
        (dict(review=dict(weight=-0.5)), 'weight=-0.5'),
        (dict(review=dict(weight=float('nan'))), 'weight=nan'),
        (dict(review=dict(weight=float('inf'))), 'weight=inf'),
        (dict(review=dict(weight='1')), 'must be a number >= 0'),
        (dict(review=dict(strides=(4,))), 'missing weight'),
        (dict(review=dict(weight=None)), 'weight=None'),
        (
            dict(teacher=dict(config='x.py', checkpoint=None)),
            'teacher=dict(checkpoint=None): must be str',
        ),
        (
            dict(teacher=dict(config=None, checkpoint='x.pth')),
            'teacher=dict(config=None): must be str or dict',
        ),
        (
            dict(teacher=dict(config='x.py', checkpoint='x.pth', weights=3)),
            'teacher=dict(weights=3): must be str',
        ),
        (
            dict(review=dict(weight=1.0, features='head')),
            "ReviewKD(part='head'): must be 'neck' or 'backbone'",
        ),
        (
            dict(inherit='nekc'),
            "inherit=['nekc']: the parts of a FasterRCNN are "
            'data_preprocessor, backbone, neck, rpn_head, roi_head',
        ),
    ],
)
def test_arguments_that_cannot_be_used(teachers, replaced, message):
    cfg = dict(
        type='ReviewKD',
        student=tiny_detector(),
        teacher=teachers['faster_rcnn'],
        review=dict(weight=1.0),
    )
    cfg.update(replaced)
    with pytest.raises(UserInputError) as error:
        MODELS.build(cfg)
    assert message in str(error.value)
    assert 'NoneType' not in str(error.value)


def test_preprocessor_beside_the_model(teachers):
    """As yolov3 and ssdlite configs have it; the Runner hands it over."""
    student = tiny_detector()
    preprocessor = student.pop('data_preprocessor')
    model = MODELS.build(
        dict(
            type='ReviewKD',
            student=student,
            teacher=teachers['faster_rcnn'],
            review=dict(weight=1.0),
            data_preprocessor=dict(preprocessor, pad_size_divisor=64),
        )
    )
    assert model.data_preprocessor.pad_size_divisor == 64
    assert 'data_preprocessor' not in student
