"""Losses between the logits of two detectors, beside the review."""

import copy

from mmreviewkd.errors import UserInputError
from mmreviewkd.methods.binary_kd import binary_kd_loss
from mmreviewkd.methods.dkd import dkd_loss
from tests.conftest import save_weights, tiny_detector
from tests.families import batch as detections
from tests.families import tiny_model, train_weights
from tests.test_models.test_distiller import batch, losses_of
from tests.test_models.test_families import FAMILIES

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.logging import MessageHub
from mmengine.runner import load_checkpoint
from torch.nn import functional as F

DKD = dict(type='DKDLoss', alpha=1.0, beta=0.25, temperature=1.0)


def whole_teacher(teacher):
    """With its heads, built and filled as anybody would."""
    model = MODELS.build(copy.deepcopy(teacher['config'])).eval()
    load_checkpoint(model, teacher['checkpoint'], strict=True)
    return model


@pytest.mark.parametrize(
    'family, scale, sampler',
    [
        ('faster_rcnn', 1, 'RandomSampler'),
        ('faster_rcnn', 2, 'RandomSampler'),
        ('mask_rcnn', 1, 'RandomSampler'),
        ('mask_rcnn', 2, 'RandomSampler'),
        # which asks the head before it chooses
        ('faster_rcnn', 1, 'OHEMSampler'),
    ],
)
def test_the_teachers_roi_head_classifies_the_students_proposals(
    distiller, teachers, family, scale, sampler
):
    levels = dict(weight=1.0, strides=(4, 8, 16, 32))
    student = tiny_detector(family)
    student.train_cfg.rcnn.sampler.type = sampler
    model = distiller(
        family,
        student=student,
        teacher=dict(teachers[family], scale=scale),
        review=levels,
        logits=DKD,
    )
    # what the student was trained on, taken by other means than hooks
    taken = {}
    head = model.roi_head
    own_forward, own_loss = head._bbox_forward, head.bbox_head.loss_and_target

    def forward(x, rois):
        if torch.is_grad_enabled():
            taken.setdefault('rois', rois)
        return own_forward(x, rois)

    def loss(cls_score, bbox_pred, rois, sampling_results, rcnn_train_cfg):
        taken['logits'] = cls_score
        taken['labels'] = torch.cat(
            [
                torch.cat(
                    [
                        result.pos_gt_labels,
                        result.pos_gt_labels.new_full((len(result.neg_priors),), 2),
                    ]
                )
                for result in sampling_results
            ]
        )
        return own_loss(cls_score, bbox_pred, rois, sampling_results, rcnn_train_cfg)

    head._bbox_forward, head.bbox_head.loss_and_target = forward, loss
    data = model.data_preprocessor(batch(with_mask=True), True)
    losses = model(**data, mode='loss')
    teacher = whole_teacher(teachers[family])
    inputs = F.interpolate(data['inputs'], scale_factor=scale, mode='bilinear')
    rois = taken['rois'].clone()
    rois[:, 1:] *= scale
    with torch.no_grad():
        theirs = teacher.roi_head._bbox_forward(teacher.extract_feat(inputs), rois)[
            'cls_score'
        ]
    assert theirs.shape == taken['logits'].shape == (len(rois), 3)
    # objects and background, which is the last class
    assert len(set(taken['labels'].tolist())) >= 2
    assert taken['labels'].max() == 2
    torch.testing.assert_close(
        losses['loss_logits'],
        dkd_loss(taken['logits'], theirs, taken['labels'], 1.0, 0.25, 1.0),
    )
    weights = list(model.roi_head.bbox_head.parameters())
    grads = torch.autograd.grad(losses['loss_logits'], weights, allow_unused=True)
    assert any(g is not None and g.abs().sum() > 0 for g in grads)
    assert not any(p.requires_grad for p in model.distillation.teacher.parameters())
    assert not hasattr(model.distillation.teacher.model, 'rpn_head')


def test_retinanets_compare_their_positive_anchors(distiller, teachers):
    model = distiller('retinanet', logits=dict(type='BinaryKDLoss', weight=0.5))
    data = model.data_preprocessor(batch(), True)
    losses = model(**data, mode='loss')
    student, teacher = model, whole_teacher(teachers['retinanet'])
    ours, theirs = (
        m.bbox_head(m.extract_feat(data['inputs']))[0] for m in (student, teacher)
    )
    # the assigner's labels, asked for directly
    head = student.bbox_head
    samples = data['data_samples']
    anchors, valid = head.get_anchors(
        [x.shape[-2:] for x in ours], [s.metainfo for s in samples], 'cpu'
    )
    labels = head.get_targets(
        anchors, valid, [s.gt_instances for s in samples], [s.metainfo for s in samples]
    )[0]
    rows = [[], []]
    for level, label in enumerate(labels):
        chosen = label.flatten() < 2
        for to, maps in zip(rows, (ours, theirs)):
            to.append(maps[level].permute(0, 2, 3, 1).reshape(-1, 2)[chosen])
    ours, theirs = map(torch.cat, rows)
    assert len(ours) > 5
    torch.testing.assert_close(
        losses['loss_logits'], 0.5 * binary_kd_loss(ours, theirs, 1.0)
    )


def test_a_teacher_that_agrees_costs_nothing(distiller, tmp_path):
    config = tiny_detector('retinanet')
    path = save_weights(config, tmp_path / 'same.pth')
    model = distiller(
        'retinanet',
        teacher=dict(config=config, checkpoint=path),
        logits=dict(type='BinaryKDLoss'),
    )
    load_checkpoint(model, path)
    model.eval()  # BatchNorm as the teacher has it
    assert losses_of(model)['loss_logits'].abs() < 1e-6


@pytest.mark.parametrize(
    'family, loss', [('faster_rcnn', 'DKDLoss'), ('retinanet', 'BinaryKDLoss')]
)
def test_images_without_objects(distiller, family, loss):
    model = distiller(family, logits=dict(type=loss))
    losses = losses_of(model, batch(num_items=[0, 0]))
    total, logged = model.parse_losses(losses)
    total.backward()
    assert torch.isfinite(total) and 'loss_logits' in logged
    assert (losses['loss_logits'] == 0) == (family == 'retinanet')


def test_no_proposals_at_all(distiller):
    model = distiller(logits=DKD)
    # objects take part in the sampling unless this says otherwise
    model.roi_head.bbox_sampler.add_gt_as_proposals = False
    own = model.rpn_head.predict_by_feat

    def nothing(*args, **kwargs):
        return [proposals[:0] for proposals in own(*args, **kwargs)]

    model.rpn_head.predict_by_feat = nothing
    losses = losses_of(model)
    assert losses['loss_logits'] == 0 and losses['loss_review'] > 0
    model.parse_losses(losses)[0].backward()


def test_logits_without_review_and_stopped(distiller):
    model = distiller(review=dict(weight=0), logits=DKD)
    losses = losses_of(model)
    assert losses['loss_review'] == 0 and losses['loss_logits'] > 0
    model.review.factor = model.logits.factor = 0
    assert 'loss_logits' not in losses_of(model)


def test_backbone_features_beside_logits(distiller):
    model = distiller(part='backbone', logits=DKD)
    assert hasattr(model.distillation.teacher.model, 'neck')
    losses = losses_of(model)
    assert losses['loss_logits'] > 0
    assert [k for k in losses if k.startswith('review_')] == [
        f'review_stride{s}' for s in (4, 8, 16, 32)
    ]


def changed(family, **head):
    config = tiny_detector(family)
    part = config.roi_head if 'rcnn' in family else config
    for key, value in head.items():
        part.bbox_head[key] = value  # update() would merge dicts
    return config


@pytest.mark.parametrize(
    'family, loss, student, message',
    [
        (
            'faster_rcnn',
            'DKDLoss',
            changed('faster_rcnn', num_classes=3),
            "logits=dict(type='DKDLoss') compares models of the same classes; the "
            'student has 3, the teacher 2',
        ),
        (
            'faster_rcnn',
            'BinaryKDLoss',
            None,
            'compares sigmoid probabilities, the models have softmax ones: KDLoss or '
            'DKDLoss',
        ),
        (
            'retinanet',
            'DKDLoss',
            None,
            'compares softmax probabilities, the models have sigmoid ones: '
            'BinaryKDLoss',
        ),
        (
            'faster_rcnn',
            'DKDLoss',
            changed(
                'faster_rcnn', loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True)
            ),
            "the student's RoI head has sigmoid probabilities",
        ),
        (
            'retinanet',
            'BinaryKDLoss',
            changed('retinanet', loss_cls=dict(type='CrossEntropyLoss')),
            'both heads must have sigmoid',
        ),
        (
            'retinanet',
            'BinaryKDLoss',
            changed(
                'retinanet',
                anchor_generator=dict(
                    type='AnchorGenerator',
                    scales=[8],
                    ratios=[1.0],
                    strides=[8, 16, 32, 64, 128],
                ),
            ),
            '[(8, 8), (16, 16), (32, 32), (64, 64), (128, 128)], 1 per cell; '
            'teacher: [(8, 8), (16, 16), (32, 32), (64, 64), (128, 128)], 9)',
        ),
        (
            'faster_rcnn',
            'DKDLoss',
            changed('faster_rcnn', loss_cls=dict(type='SeesawLoss', num_classes=2)),
            "the student's SeesawLoss has channels that are no classes",
        ),
        (
            'faster_rcnn',
            'DKDLoss',
            tiny_detector('retinanet'),
            'the student is a RetinaNet, the teacher a FasterRCNN',
        ),
    ],
)
def test_pairs_without_common_logits(distiller, family, loss, student, message):
    replaced = {} if student is None else dict(student=student)
    with pytest.raises(UserInputError) as error:
        distiller(
            family,
            logits=dict(type=loss),
            review=dict(weight=1.0, strides=(8, 16)),
            **replaced,
        )
    assert message in str(error.value)


@pytest.mark.parametrize(
    'name, loss, outcome',
    [
        ('pisa', 'DKDLoss', None),
        ('double_heads', 'DKDLoss', None),
        ('grid_rcnn', 'DKDLoss', None),
        ('cascade_rcnn', 'DKDLoss', 'with one RoI head each'),
        ('crowddet', 'DKDLoss', 'does not classify each proposal once'),
        ('atss', 'BinaryKDLoss', None),
        ('yolof', 'BinaryKDLoss', None),
        ('fsaf', 'BinaryKDLoss', None),
        ('gfl', 'BinaryKDLoss', 'does not classify its anchors level by level'),
        ('free_anchor', 'BinaryKDLoss', 'does not classify its anchors level'),
        ('rtmdet', 'BinaryKDLoss', 'has no anchors of fixed shapes'),
        ('fcos', 'BinaryKDLoss', 'or two that classify anchors'),
    ],
)
def test_families(name, loss, outcome, tmp_path):
    """A gradient from the logits, or the reason why there are none."""
    row = FAMILIES[name]
    student, teacher = (
        tiny_model(row['config'], by, row['changes'])
        for by in (row['by'], row['by'] // 2)
    )

    def logits_loss():
        model = MODELS.build(
            dict(
                type='ReviewKD',
                student=copy.deepcopy(student),
                teacher=dict(
                    config=teacher,
                    checkpoint=train_weights(
                        copy.deepcopy(teacher), tmp_path / 'teacher.pth'
                    ),
                ),
                review=dict(weight=1.0),
                logits=dict(type=loss),
            )
        )
        return losses_of(model, detections(**row['data']))['loss_logits']

    if outcome is None:
        value = logits_loss()
        assert value > 0 and value.requires_grad
        return
    with pytest.raises(UserInputError) as error:
        logits_loss()
    assert outcome in str(error.value)


def test_scaled_anchors_are_others(distiller, teachers):
    with pytest.raises(UserInputError, match="the teacher's anchors are oth"):
        distiller(
            'retinanet',
            teacher=dict(teachers['retinanet'], scale=2.0),
            review=dict(weight=1.0, strides=(8, 16)),
            logits=dict(type='BinaryKDLoss'),
        )


def test_classes_in_another_order_stop_the_first_step(distiller, teachers, tmp_path):
    saved = torch.load(teachers['faster_rcnn']['checkpoint'], weights_only=True)
    for meta in (
        dict(dataset_meta=dict(classes=['a', 'b'])),
        dict(dataset_meta=dict(CLASSES=['a', 'b'])),
        dict(CLASSES=('a', 'b')),
    ):
        path = str(tmp_path / 'named.pth')
        torch.save(dict(saved, meta=meta), path)
        teacher = dict(teachers['faster_rcnn'], checkpoint=path)
        hub = MessageHub.get_current_instance()
        try:
            hub.update_info('dataset_meta', dict(classes=('a', 'c')))
            with pytest.raises(UserInputError) as error:
                losses_of(distiller(teacher=teacher, logits=DKD))
            assert str(error.value) == (
                'logits compare models of the same classes in the same order; '
                f'where {path} has b, these data have c'
            )
            # the features alone have no classes
            losses_of(distiller(teacher=teacher))
            # what ConcatDataset has, of members that differ in another way
            for same in (
                dict(classes=('a', 'b')),
                [
                    dict(classes=['a', 'b'], dataset_type=kind)
                    for kind in ('VOC2007', 'VOC2012')
                ],
                [dict(classes=('a', 'b')), dict(classes=('a', 'c'))],
            ):
                hub.update_info('dataset_meta', same)
                losses_of(distiller(teacher=teacher, logits=DKD))
        finally:
            hub.runtime_info.pop('dataset_meta')
