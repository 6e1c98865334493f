"""Filling a model whole, by the names that it knows."""

from mmreviewkd.errors import UserInputError
from mmreviewkd.models.weights import load_whole, read_checkpoint
from tests.conftest import save_weights, tiny_detector

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.runner import load_checkpoint


@pytest.fixture
def saved(tmp_path):
    path = save_weights(tiny_detector(), tmp_path / 'weights.pth')
    return torch.load(path, weights_only=True)


def refused(model, weights):
    with pytest.raises(UserInputError) as error:
        load_whole(model, dict(state_dict=weights), 'weights.pth')
    message = str(error.value)
    assert '\n' not in message
    assert message.startswith(
        'checkpoint weights.pth does not fit '
        f'{type(model).__name__}: of '
        f'{len(model.state_dict())} tensors '
    )
    return message


def test_whole_with_more_than_that(saved):
    weights = saved['state_dict']
    weights['review.levels.0.reduce.conv.weight'] = torch.zeros(1)
    weights['roi_head.mask_head.convs.0.conv.weight'] = torch.zeros(1)
    # of a BatchNorm that was saved without; it counts, and computes nothing
    del weights['backbone.bn1.num_batches_tracked']
    model = MODELS.build(tiny_detector())
    load_whole(model, saved, 'weights.pth')
    assert torch.equal(
        model.roi_head.bbox_head.fc_cls.weight,
        weights['roi_head.bbox_head.fc_cls.weight'],
    )


def test_wrappings(saved):
    weights = {f'module.{k}': v for k, v in saved['state_dict'].items()}
    for checkpoint in (weights, dict(state_dict=weights)):
        model = MODELS.build(tiny_detector())
        load_whole(model, checkpoint, 'weights.pth')
        assert torch.equal(
            model.backbone.conv1.weight, weights['module.backbone.conv1.weight']
        )


def test_a_part(saved):
    weights = saved['state_dict']
    for key in [k for k in weights if k.startswith('rpn_head.')]:
        del weights[key]
    assert (
        ' 6 missing (first: rpn_head.rpn_conv.weight, '
        'rpn_head.rpn_conv.bias, rpn_head.rpn_cls.weight). Does it belong '
        'to this config?'
    ) in refused(MODELS.build(tiny_detector()), weights)
    weights = {f'detector.{key}': value for key, value in weights.items()}
    assert ' 130 missing (first: backbone.conv1.weight, ' in refused(
        MODELS.build(tiny_detector()), weights
    )


def test_other_shapes(saved):
    message = refused(MODELS.build(tiny_detector(num_classes=5)), saved['state_dict'])
    assert message.endswith(
        ' 4 of another shape (first: roi_head.bbox_head.fc_cls.weight (3, 16),'
        ' model (6, 16), roi_head.bbox_head.fc_cls.bias (3), model (6), '
        'roi_head.bbox_head.fc_reg.weight (8, 16), model (20, 16)). Does it '
        'belong to this config?'
    )
    del saved['state_dict']['neck.fpn_convs.0.conv.bias']
    assert ' 1 missing (first: neck.fpn_convs.0.conv.bias); 4 of another ' in refused(
        MODELS.build(tiny_detector(num_classes=5)), saved['state_dict']
    )


def test_a_deeper_backbone():
    cfg = tiny_detector()
    cfg.backbone.depth = 34
    assert ' 96 unexpected (first: backbone.layer1.2.conv1.weight, ' in refused(
        MODELS.build(tiny_detector()), MODELS.build(cfg).state_dict()
    )


def rpn():
    cfg = tiny_detector()
    return dict(
        type='RPN',
        data_preprocessor=cfg.data_preprocessor,
        backbone=cfg.backbone,
        neck=cfg.neck,
        rpn_head=cfg.rpn_head,
        train_cfg=cfg.train_cfg,
        test_cfg=cfg.test_cfg,
    )


def test_names_that_the_model_itself_converts(saved, distiller, tmp_path):
    # a two-stage detector's rpn_head is the RPN's bbox_head
    model = MODELS.build(rpn())
    load_whole(model, saved, 'weights.pth')
    expected = saved['state_dict']['rpn_head.rpn_cls.weight']
    assert torch.equal(model.bbox_head.rpn_cls.weight, expected)
    # and so of a distilled one, which is the student
    model = distiller(student=rpn())
    torch.save(saved, tmp_path / 'weights.pth')
    load_checkpoint(model, str(tmp_path / 'weights.pth'))
    assert torch.equal(model.bbox_head.rpn_cls.weight, expected)


def test_whose_file_is_missing():
    with pytest.raises(
        UserInputError, match='^student checkpoint none.pth does not exist'
    ):
        read_checkpoint('none.pth', 'student')
