"""A classifier of mmpretrain, where it is installed, on either side."""

from tests.support.classifiers import classifier, image_batch

import pytest
import torch
from mmdet.registry import MODELS

pytest.importorskip('mmpretrain.models')


def mmpretrain(width):
    """mmpretrain's classifier as the network of this package's."""
    return classifier(
        backbone=dict(
            type='ImageClassifier',
            _scope_='mmpretrain',
            backbone=dict(
                type='ResNet_CIFAR',
                depth=18,
                base_channels=width,
                stem_channels=width,
                num_stages=4,
                out_indices=(3,),
                style='pytorch',
            ),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(type='LinearClsHead', num_classes=10, in_channels=8 * width),
        ),
        levels=[
            'backbone.layer1',
            'backbone.layer2',
            'backbone.layer3',
            'backbone.layer4',
            'neck.gap',
        ],
    )


def test_student_and_teacher(tmp_path):
    teacher = MODELS.build(mmpretrain(6))
    torch.save(dict(state_dict=teacher.state_dict()), tmp_path / 't.pth')
    model = MODELS.build(
        dict(
            type='ReviewKD',
            student=mmpretrain(4),
            teacher=dict(config=mmpretrain(6), checkpoint=str(tmp_path / 't.pth')),
            review=dict(weight=1.0),
            logits=dict(type='KDLoss'),
        )
    )
    data = image_batch(model)
    losses = model(**data, mode='loss')
    assert set(losses) == {
        'loss_cls',
        'loss_review',
        'loss_logits',
        *(f'review_level{i}' for i in range(5)),
    }
    assert [a.output.conv.out_channels for a in model.review.levels] == [
        6,
        12,
        24,
        48,
        48,
    ]
    total, _ = model.parse_losses(losses)
    total.backward()
    assert all(p.grad is not None for p in model.parameters())
    assert len(model(**data, mode='predict')) == 4
