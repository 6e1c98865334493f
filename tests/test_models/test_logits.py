"""Losses between the logits of two models, beside the review."""

from mmreviewkd.errors import UserInputError
from tests.support.batches import batch
from tests.support.detectors import save_weights, tiny_detector
from tests.support.students import losses_of

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.runner import load_checkpoint

DKD = dict(type='DKDLoss', alpha=1.0, beta=0.25, temperature=1.0)


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
