"""The distiller: what it computes, what it leaves alone, what it refuses."""

import copy

from mmreviewkd.commands import textbook
from mmreviewkd.errors import UserInputError
from mmreviewkd.models import Distilled
from mmreviewkd.models.detectors import match_levels
from mmreviewkd.models.features import record
from tests.conftest import save_weights, tiny_detector

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.testing import demo_mm_inputs
from mmengine.logging import MessageHub
from mmengine.model import ExponentialMovingAverage
from mmengine.optim import OptimWrapper
from mmengine.runner.checkpoint import get_state_dict, load_state_dict
from torch import nn

SHAPES = [[3, 96, 120], [3, 64, 128]]


def batch(shapes=SHAPES, with_mask=False, num_items=None):
    return demo_mm_inputs(
        len(shapes), shapes, num_classes=2, with_mask=with_mask, num_items=num_items
    )


def losses_of(model, data=None):
    data = model.data_preprocessor(data or batch(), True)
    return model(**data, mode='loss')


def snapshot(module):
    return {key: value.clone() for key, value in module.state_dict().items()}


@pytest.mark.parametrize('family', ['faster_rcnn', 'mask_rcnn', 'retinanet'])
def test_losses_are_the_students_plus_the_review(distiller, family):
    model = distiller(family)
    data = model.data_preprocessor(batch(with_mask=True), True)
    torch.manual_seed(3)
    expected = super(Distilled, model).forward(**data, mode='loss')
    before = snapshot(model.review)
    torch.manual_seed(3)
    losses = model(**data, mode='loss')
    for key, value in expected.items():
        assert torch.equal(torch.as_tensor(losses[key]), torch.as_tensor(value))
    added = set(losses) - set(expected)
    strides = (8, 16, 32, 64, 128) if family == 'retinanet' else (4, 8, 16, 32, 64)
    assert added == {'loss_review'} | {f'review_stride{s}' for s in strides}

    # against the paper's formula, with features taken by other means
    features = model.extract_feat(data['inputs'])
    targets = model.distillation.teacher.model.extract_feat(data['inputs'])
    reviewed = textbook.review(before, features, [t.shape[-2:] for t in targets])
    levels = [textbook.hcl(r, t) for r, t in zip(reviewed, targets)]
    for stride, level in zip(strides, levels):
        torch.testing.assert_close(
            losses[f'review_stride{stride}'], level, rtol=1e-4, atol=1e-5
        )
    torch.testing.assert_close(losses['loss_review'], sum(levels), rtol=1e-4, atol=1e-5)


def test_weight_scales_the_loss_and_levels_are_not_added_twice(distiller):
    model = distiller(review=dict(weight=2.5))
    losses = losses_of(model)
    levels = [v for k, v in losses.items() if k.startswith('review_stride')]
    torch.testing.assert_close(losses['loss_review'], 2.5 * sum(levels))
    total, log_vars = model.parse_losses(losses)
    torch.testing.assert_close(
        total,
        sum(
            log_vars[k]
            for k in (
                'loss_rpn_cls',
                'loss_rpn_bbox',
                'loss_cls',
                'loss_bbox',
                'loss_review',
            )
        ),
    )


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


def test_record_leaves_nothing_behind(distiller):
    model = distiller()
    with pytest.raises(ZeroDivisionError), record(model, ['neck']):
        raise ZeroDivisionError
    assert not model.neck._forward_hooks
    losses_of(model)
    assert not model.neck._forward_hooks
    with pytest.raises(UserInputError, match='FPN ran twice'):
        with record(model, ['neck']):
            for _ in range(2):
                model.extract_feat(torch.zeros(1, 3, 64, 64))


def test_probing_levels_leaves_the_student_as_built(distiller):
    torch.manual_seed(5)
    model = distiller()
    torch.manual_seed(5)
    plain = MODELS.build(tiny_detector())
    for key, value in plain.state_dict().items():
        assert torch.equal(model.state_dict()[key], value), key
    assert model.training and model.backbone.bn1.training


def test_one_family_teaches_another_at_chosen_levels(distiller):
    with pytest.raises(UserInputError) as error:
        distiller('retinanet', 'faster_rcnn')
    assert str(error.value) == (
        'teacher has levels at strides (4, 8, 16, 32, 64), student at '
        '(8, 16, 32, 64, 128); no pair of levels at (4, 128). To use common '
        'ones alone: ReviewKD(strides=(8, 16, 32, 64))'
    )
    model = distiller('retinanet', 'faster_rcnn', strides=(8, 16, 32, 64))
    assert model.distillation.match.indices == [(0, 1), (1, 2), (2, 3), (3, 4)]
    losses = losses_of(model)
    assert [k for k in losses if 'stride' in k] == [
        f'review_stride{s}' for s in (8, 16, 32, 64)
    ]
    data = model.data_preprocessor(batch(), True)
    targets = model.distillation.teacher.model.extract_feat(data['inputs'])
    reviewed = model.review(
        model.extract_feat(data['inputs'])[:4],
        [t.shape[-2:] for t in targets[1:]],
    )
    assert [r.shape for r in reviewed] == [t.shape for t in targets[1:]]


def test_stages_of_backbones_instead_of_necks(distiller):
    model = distiller('retinanet', 'faster_rcnn', part='backbone')
    assert not hasattr(model.distillation.teacher.model, 'neck')
    assert model.distillation.match.names == [f'stride {s}' for s in (4, 8, 16, 32)]
    before = snapshot(model.review)
    data = model.data_preprocessor(batch(), True)
    losses = model(**data, mode='loss')
    features = model.backbone(data['inputs'])
    targets = model.distillation.teacher.model.backbone(data['inputs'])
    reviewed = textbook.review(before, features, [t.shape[-2:] for t in targets])
    torch.testing.assert_close(
        losses['loss_review'],
        sum(textbook.hcl(r, t) for r, t in zip(reviewed, targets)),
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.parametrize(
    'scale, sizes',
    [
        # 64x96 pixels become 128x192, whose levels are those of half the stride
        (2, {4: (16, 24), 8: (8, 12), 16: (4, 6), 32: (2, 3)}),
        # 96x144, and padded to 96x160; the cells of the padding are cut off
        (1.5, {4: (12, 18), 8: (6, 9), 16: (3, 5), 32: (2, 3)}),
        (1.25, {4: (20, 30), 8: (10, 15), 16: (5, 8), 32: (3, 4), 64: (2, 2)}),
        (0.5, {8: (8, 12), 16: (4, 6), 32: (2, 3), 64: (1, 2)}),
    ],
)
def test_teacher_at_another_image_size(distiller, teachers, scale, sizes):
    teacher = dict(teachers['faster_rcnn'], scale=scale)
    model = distiller(teacher=teacher, strides=tuple(sizes))
    data = model.data_preprocessor(batch([[3, 64, 96], [3, 60, 90]]), True)
    losses = model(**data, mode='loss')
    targets, _ = model.distillation.teacher(data['inputs'], data['data_samples'])
    assert {
        stride: tuple(targets[j].shape[-2:])
        for stride, (_, j) in zip(sizes, model.distillation.match.indices)
    } == sizes
    assert losses['loss_review'] > 0
    model.parse_losses(losses)[0].backward()
    # what it sees: the same image, larger
    inputs = torch.nn.functional.interpolate(
        data['inputs'], scale_factor=scale, mode='bilinear', antialias=True
    )
    inputs = torch.nn.functional.pad(
        inputs, (0, -inputs.size(3) % 32, 0, -inputs.size(2) % 32)
    )
    for target, whole in zip(
        targets, model.distillation.teacher.model.extract_feat(inputs)
    ):
        assert torch.equal(target, whole[..., : target.size(2), : target.size(3)])


def test_levels_of_a_scaled_teacher_count_in_the_students_pixels(distiller, teachers):
    # p3-p7 of an image of twice the side are p2-p6 of this one
    model = distiller(teacher=dict(teachers['retinanet'], scale=2.0))
    assert model.distillation.teacher.levels.strides == [4, 8, 16, 32, 64]
    assert model.distillation.match.indices == [(i, i) for i in range(5)]
    with pytest.raises(UserInputError) as error:
        distiller(teacher=dict(teachers['faster_rcnn'], scale=0.5))
    assert (
        'teacher has levels at strides (8, 16, 32, 64, 128), student at '
        '(4, 8, 16, 32, 64)'
    ) in str(error.value)
    for scale in (0, -1.0, 'large', float('inf'), float('nan'), None):
        with pytest.raises(UserInputError, match='must be a number > 0'):
            distiller(teacher=dict(teachers['faster_rcnn'], scale=scale))


def test_levels_match_by_stride_whatever_their_order():
    assert match_levels([8, 16, 4], [4, 8, 16]) == [(2, 0), (0, 1), (1, 2)]
    assert match_levels([8, 16], [4, 8], strides=[8]) == [(0, 1)]
    for student, teacher, strides, message in (
        ([8, 8], [8, 8], None, 'no pair of levels at (8,)'),
        ([8], [16], None, 'They have no stride in common'),
        ([8, 16, 16], [8, 16, 16], None, 'ReviewKD(strides=(8,))'),
        ([8, 16], [8, 16], [32], 'no pair of levels at (32,)'),
    ):
        with pytest.raises(UserInputError) as error:
            match_levels(student, teacher, strides)
        assert message in str(error.value)
        assert f'{tuple(teacher)}, student at {tuple(student)}' in str(error.value)


@pytest.mark.parametrize(
    'replaced, message',
    [
        (
            dict(teacher=None),
            'ReviewKD needs teacher=dict(config=..., '
            'checkpoint=..., scale=..., weights=...)',
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


def test_student_and_teacher_need_a_neck(distiller, tmp_path):
    bare = tiny_detector('retinanet')
    bare.neck = None
    with pytest.raises(UserInputError) as error:
        distiller(student=bare)
    assert str(error.value) == (
        'student RetinaNet has no neck; the review works on the levels that a '
        "neck puts out, or on the backbones': ReviewKD(part='backbone')"
    )
    with pytest.raises(UserInputError, match='teacher RetinaNet has no neck'):
        distiller(teacher=dict(config=bare, checkpoint='x.pth'))


@pytest.mark.parametrize('side', ['student', 'teacher'])
def test_a_review_that_is_not_finite_stops_and_names_the_level(distiller, side):
    model = distiller()
    conv = (
        (model if side == 'student' else model.distillation.teacher.model)
        .neck.fpn_convs[2]
        .conv
    )
    conv.bias.data[0] = float('nan')
    MessageHub.get_instance('nan').update_info('iter', 41)
    with pytest.raises(FloatingPointError) as error:
        losses_of(model)
    message = str(error.value)
    assert message.startswith(
        'review_stride16 is nan in iteration 42; '
        f"not finite: the {side}'s feature at stride 16"
    )


@pytest.mark.parametrize(
    'shapes, num_items', [([[3, 64, 64]], None), (SHAPES, [0, 3]), (SHAPES, [0, 0])]
)
def test_small_and_empty_batches_train_on(distiller, shapes, num_items):
    # one image of 64x64 has a deepest map of 1x1
    model = distiller()
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.01))
    for _ in range(2):
        log = model.train_step(batch(shapes, num_items=num_items), wrapper)
        assert torch.isfinite(log['loss']) and log['loss_review'] > 0


def test_bfloat16_step_compares_in_float32(distiller):
    # no RPN: mmcv's own NMS takes float32 alone on the CPU
    model = distiller('retinanet')
    data = batch()
    full = losses_of(model, copy.deepcopy(data))['loss_review']
    with torch.autocast('cpu', dtype=torch.bfloat16):
        half = losses_of(model, copy.deepcopy(data))['loss_review']
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, full, rtol=0.05, atol=0.05)
    half.backward()


# ------------------------------------------------ start and what is remembered
def test_student_inherits_parts_of_the_teacher(
    distiller, teachers, tmp_path, monkeypatch
):
    said = []
    monkeypatch.setattr(
        'mmreviewkd.models.teacher.print_log', lambda message, *_: said.append(message)
    )
    # same neck and RoI head, another number of classes
    teacher = tiny_detector(width=4, num_classes=5)
    path = save_weights(teacher, tmp_path / 'teacher.pth')
    given = torch.load(path, weights_only=True)['state_dict']
    model = distiller(
        teacher=dict(config=teacher, checkpoint=path), inherit=('neck', 'roi_head')
    )
    before = snapshot(model)
    model.init_weights()
    state = model.state_dict()
    for key, value in state.items():
        if (
            key.split('.')[0] in ('neck', 'roi_head')
            and given[key].shape == value.shape
        ):
            assert torch.equal(value, given[key]), key
    left = [
        f'roi_head.bbox_head.{name}'
        for name in ('fc_cls.weight', 'fc_cls.bias', 'fc_reg.weight', 'fc_reg.bias')
    ]
    assert said[-2].startswith("The student starts with the teacher's neck: ")
    assert said[-1].endswith('; not ' + ', '.join(left))
    assert not torch.equal(
        before['neck.fpn_convs.0.conv.weight'], state['neck.fpn_convs.0.conv.weight']
    )
    assert not torch.equal(
        given['backbone.conv1.weight'], state['backbone.conv1.weight']
    )
    with pytest.raises(
        UserInputError,
        match='inherit: none of the 16 tensors '
        "of the student's neck has its name and shape in",
    ):
        distiller(inherit=('neck',)).init_weights()


def test_a_checkpoint_remembers_teacher_weight_and_levels(distiller, monkeypatch):
    said = []
    monkeypatch.setattr(
        'mmreviewkd.methods.method.print_log', lambda message, *_: said.append(message)
    )
    model = distiller()
    state = model.state_dict()
    distiller().load_state_dict(state)
    assert not said
    other = distiller(review=dict(weight=2.0))
    load_state_dict(other, state)
    assert said == [
        'The review of this checkpoint was trained with another weight 1.0 (now: 2.0)'
    ]
    other.review.settings['fusion'] = 'sum'
    load_state_dict(other, state)
    assert said.pop().endswith('weight 1.0 (now: 2.0), fusion abf (now: sum)')
    other.review.settings.update(teacher='b.pth', levels=['stride 4'])
    load_state_dict(other, state)
    assert 'another teacher /' in said[1] and '(now: b.pth)' in said[1]
    assert (
        "levels ['stride 4', 'stride 8', 'stride 16', 'stride 32', "
        "'stride 64'] (now: ['stride 4'])" in said[1]
    )


def test_a_checkpoint_remembers_what_is_not_as_usual(distiller, teachers, monkeypatch):
    said = []
    monkeypatch.setattr(
        'mmreviewkd.methods.method.print_log', lambda message, *_: said.append(message)
    )
    usual = distiller(strides=(4, 8, 16, 32))
    backbones = distiller(
        teacher=dict(teachers['faster_rcnn'], scale=2.0),
        strides=(4, 8, 16),
        part='backbone',
    )
    backbones.review.set_extra_state(usual.review.get_extra_state())
    usual.review.set_extra_state(backbones.review.get_extra_state())
    assert 'teacher scale None (now: 2.0), features None (now: backbone)' in said[0]
    assert said[1].endswith(
        'teacher scale 2.0 (now: None), features backbone (now: None)'
    )


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


def test_a_model_that_takes_no_large_image(distiller, monkeypatch):
    from mmreviewkd.models import detectors

    monkeypatch.setattr(detectors, '_BLANK_SIZE', 0)
    with pytest.raises(UserInputError, match='does not take an image of 0x0'):
        distiller()


@pytest.mark.parametrize('fusion', ['sum', 'pairs', 'none'])
def test_ablations_work_on_detectors_too(distiller, fusion):
    model = distiller(review=dict(weight=1.0, fusion=fusion, distance='l2'))
    losses = losses_of(model)
    model.parse_losses(losses)[0].backward()
    assert losses['loss_review'] > 0
    assert all(p.grad is not None for p in model.review.parameters())
    assert not any('attention' in name for name, _ in model.review.named_parameters())
