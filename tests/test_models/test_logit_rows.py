"""Rows of logits: which belong together, against what mmdet computes."""

import copy

from mmreviewkd.errors import UserInputError
from mmreviewkd.methods.binary_kd import binary_kd_loss
from mmreviewkd.methods.dkd import dkd_loss
from tests.support.batches import batch
from tests.support.detectors import tiny_detector
from tests.support.families import FAMILIES
from tests.support.shrunk_models import tiny_model, train_weights
from tests.support.students import losses_of

import pytest
import torch
from mmdet.registry import MODELS
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
    data = model.data_preprocessor(batch(masks=True), True)
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
        return losses_of(model, batch(**row['data']))['loss_logits']

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
