"""Tiny detectors of mmdet's own configs, and checkpoints of them."""

import copy
from functools import cache

import mmreviewkd  # noqa: F401

import torch
from mmdet.registry import MODELS
from mmengine.hub import get_config

BASES = dict(
    faster_rcnn='mmdet::_base_/models/faster-rcnn_r50_fpn.py',
    mask_rcnn='mmdet::_base_/models/mask-rcnn_r50_fpn.py',
    retinanet='mmdet::_base_/models/retinanet_r50_fpn.py',
)


def tiny_detector(family='faster_rcnn', width=4, channels=8, num_classes=2):
    """Config of mmdet's own detector with a ResNet-18 of ``width``."""
    cfg = copy.deepcopy(_whole(family))
    cfg.backbone.update(
        depth=18, base_channels=width, frozen_stages=-1, norm_eval=False, init_cfg=None
    )
    cfg.neck.update(in_channels=[width * 2**i for i in range(4)], out_channels=channels)
    if family == 'retinanet':
        cfg.bbox_head.update(
            in_channels=channels,
            feat_channels=channels,
            stacked_convs=1,
            num_classes=num_classes,
        )
        return cfg
    cfg.rpn_head.update(in_channels=channels, feat_channels=channels)
    roi = cfg.roi_head
    roi.bbox_roi_extractor.out_channels = channels
    roi.bbox_head.update(
        in_channels=channels, fc_out_channels=16, num_classes=num_classes
    )
    if family == 'mask_rcnn':
        roi.mask_roi_extractor.out_channels = channels
        roi.mask_head.update(
            in_channels=channels,
            conv_out_channels=channels,
            num_convs=1,
            num_classes=num_classes,
        )
    for stage in (cfg.train_cfg.rpn, cfg.train_cfg.rcnn):
        stage.sampler.num = 32
    cfg.train_cfg.rpn_proposal.update(nms_pre=100, max_per_img=50)
    cfg.test_cfg.rpn.update(nms_pre=100, max_per_img=50)
    return cfg


@cache
def _whole(family):
    # to find it, mmengine reads all of mmdet's metafiles
    return get_config(BASES[family]).model


def save_weights(cfg, path, seed=1):
    """Build a detector, give it weights of its own, and save them."""
    torch.manual_seed(seed)
    model = MODELS.build(cfg)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    torch.save(dict(state_dict=model.state_dict(), meta={}), path)
    return str(path)
