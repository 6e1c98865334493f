"""Each private name of upstream's still means what it is read for."""

from mmreviewkd.compat.internals import (
    classify_boxes,
    module_versions,
    normalizes,
    reverses_channels,
    set_module_versions,
    times_written,
)

import pytest
import torch
import torch.nn as nn
from mmdet.registry import MODELS
from mmengine.model import ImgDataPreprocessor


def test_what_a_data_preprocessor_does():
    plain = ImgDataPreprocessor()
    assert (normalizes(plain), reverses_channels(plain)) == (False, False)
    both = ImgDataPreprocessor(mean=[1, 2, 3], std=[1, 1, 1], bgr_to_rgb=True)
    assert (normalizes(both), reverses_channels(both)) == (True, True)
    assert reverses_channels(ImgDataPreprocessor(rgb_to_bgr=True))


def test_boxes_are_classified_as_the_head_does_it():
    align = dict(type='RoIAlign', output_size=2, sampling_ratio=0)
    head = MODELS.build(
        dict(
            type='StandardRoIHead',
            bbox_roi_extractor=dict(
                type='SingleRoIExtractor',
                roi_layer=align,
                out_channels=4,
                featmap_strides=[4],
            ),
            bbox_head=dict(
                type='Shared2FCBBoxHead',
                in_channels=4,
                fc_out_channels=8,
                roi_feat_size=2,
                num_classes=3,
            ),
        )
    )
    features = [torch.randn(1, 4, 8, 8)]
    rois = torch.tensor([[0.0, 2, 3, 20, 30], [0.0, 0, 0, 8, 8]])
    logits, _ = head.bbox_head(head.bbox_roi_extractor(features, rois))
    assert logits.shape == (2, 4)
    assert classify_boxes(head, features, rois).equal(logits)


def test_times_a_tensor_is_written():
    tensor = torch.zeros(2)
    before = times_written(tensor)
    tensor.add_(1)
    tensor[0] = 2
    assert times_written(tensor) == before + 2


def test_versions_decide_what_an_old_state_dict_may_lack():
    norm = nn.BatchNorm2d(2)
    weights = norm.state_dict()
    assert module_versions(weights) == {'': {'version': 2}}
    assert module_versions(dict(weights)) == {}
    del weights['num_batches_tracked']  # new in version 2
    with pytest.raises(RuntimeError, match='num_batches_tracked'):
        norm.load_state_dict(weights)
    set_module_versions(weights, {'': {'version': 1}})
    norm.load_state_dict(weights)
