"""Tiny detectors, teacher checkpoints and a dataset of drawn rectangles."""

import json
import os

# two threads on small maps only get in each other's way
os.environ.setdefault('OMP_NUM_THREADS', '1')

import mmreviewkd  # noqa: F401
from tests.robustness_page import named_tests

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.hub import get_config
from mmengine.registry import init_default_scope
from mmengine.visualization import Visualizer

torch.set_num_threads(1)


def pytest_collection_modifyitems(items):
    """Mark the tests that docs/robustness.md names."""
    named = set(named_tests())
    for item in items:
        function = getattr(item, 'originalname', None)
        if {(item.path, function), (item.path, None)} & named:
            item.add_marker('faults')


BASES = dict(
    faster_rcnn='mmdet::_base_/models/faster-rcnn_r50_fpn.py',
    mask_rcnn='mmdet::_base_/models/mask-rcnn_r50_fpn.py',
    retinanet='mmdet::_base_/models/retinanet_r50_fpn.py',
)


def tiny_detector(family='faster_rcnn', width=4, channels=8, num_classes=2):
    """Config of mmdet's own detector with a ResNet-18 of ``width``."""
    cfg = get_config(BASES[family]).model
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


@pytest.fixture(autouse=True)
def default_scope():
    init_default_scope('mmdet')
    # a visualizer of an earlier test's run would be taken for this one's
    Visualizer._instance_dict.clear()
    torch.manual_seed(0)


@pytest.fixture(scope='session')
def teachers(tmp_path_factory):
    """``{family: dict(config, checkpoint)}`` of tiny trained teachers."""
    init_default_scope('mmdet')
    folder = tmp_path_factory.mktemp('teachers')
    return {
        family: dict(config=cfg, checkpoint=save_weights(cfg, folder / f'{family}.pth'))
        for family in BASES
        for cfg in [tiny_detector(family, 6, 12)]
    }


@pytest.fixture
def distiller(teachers):
    """Builds a ReviewKD of tiny detectors; arguments replace parts of it."""

    def build(family='faster_rcnn', teacher_family=None, **replaced):
        cfg = dict(
            type='ReviewKD',
            student=tiny_detector(family),
            teacher=teachers[teacher_family or family],
            review=dict(weight=1.0),
        )
        cfg.update(replaced)
        return MODELS.build(cfg)

    return build


def write_coco(root, splits=(('train', 8), ('val', 4)), size=(96, 128)):
    """A COCO dataset: coloured rectangles of two classes; image 0 is empty."""
    rng = np.random.RandomState(0)
    for split, count in splits:
        (root / split).mkdir(parents=True)
        images, annotations = [], []
        for i in range(count):
            image = rng.randint(0, 60, (*size, 3)).astype(np.uint8)
            for _ in range(3 if i else 0):
                label = rng.randint(2)
                x, y = rng.randint(0, size[1] - 48), rng.randint(0, size[0] - 48)
                w, h = rng.randint(24, 48, 2)
                cv2.rectangle(
                    image,
                    (x, y),
                    (x + w, y + h),
                    ((255, 80, 0), (0, 120, 255))[label],
                    -1,
                )
                annotations.append(
                    dict(
                        id=len(annotations) + 1,
                        image_id=i,
                        category_id=label + 1,
                        bbox=[int(v) for v in (x, y, w, h)],
                        area=int(w * h),
                        iscrowd=0,
                    )
                )
            cv2.imwrite(str(root / split / f'{i}.png'), image)
            images.append(
                dict(id=i, file_name=f'{i}.png', height=size[0], width=size[1])
            )
        (root / f'{split}.json').write_text(
            json.dumps(
                dict(
                    images=images,
                    annotations=annotations,
                    categories=[dict(id=1, name='a'), dict(id=2, name='b')],
                )
            )
        )
    return root


@pytest.fixture(scope='session')
def coco(tmp_path_factory):
    return write_coco(tmp_path_factory.mktemp('coco'))


PLAIN_CONFIG = """
_base_ = 'mmdet::_base_/default_runtime.py'
model = {model}
pipeline = [dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=(128, 96), keep_ratio=True),
            dict(type='LoadAnnotations', with_bbox=True)]
train_dataloader = dict(
    batch_size=4, num_workers=0, sampler=dict(type='DefaultSampler',
                                              shuffle=True),
    dataset=dict(type='CocoDataset', data_root='{root}/',
                 metainfo=dict(classes=('a', 'b')), ann_file='train.json',
                 data_prefix=dict(img='train/'),
                 pipeline=[*pipeline, dict(type='PackDetInputs')]))
val_dataloader = dict(
    batch_size=2, num_workers=0, sampler=dict(type='DefaultSampler',
                                              shuffle=False),
    dataset=dict(type='CocoDataset', data_root='{root}/', test_mode=True,
                 metainfo=dict(classes=('a', 'b')), ann_file='val.json',
                 data_prefix=dict(img='val/'),
                 pipeline=[*pipeline,
                           dict(type='PackDetInputs',
                                meta_keys=('img_id', 'img_path', 'ori_shape',
                                           'img_shape', 'scale_factor'))]))
test_dataloader = val_dataloader
val_evaluator = dict(type='CocoMetric', ann_file='{root}/val.json',
                     metric='bbox')
test_evaluator = val_evaluator
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=2, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=1e-3))
auto_scale_lr = dict(enable=False, base_batch_size=4)
default_hooks = dict(logger=dict(interval=1))
randomness = dict(seed=0)
"""

DISTIL_CONFIG = """
_base_ = './{student}'
custom_imports = dict(imports=['mmreviewkd'], allow_failed_imports=False)
model = dict(_delete_=True, type='ReviewKD', student=_base_.model,
             teacher=dict(config='{teacher}', checkpoint='{checkpoint}'),
             review=dict(weight=1.0))
"""


@pytest.fixture
def project(tmp_path, coco, teachers):
    """A user's folder: plain.py, teacher.py, teacher.pth and distil.py."""
    teacher = teachers['faster_rcnn']
    for name, model in (('plain', tiny_detector()), ('teacher', teacher['config'])):
        (tmp_path / f'{name}.py').write_text(
            PLAIN_CONFIG.format(model=model.to_dict(), root=coco)
        )
    (tmp_path / 'distil.py').write_text(
        DISTIL_CONFIG.format(
            student='plain.py',
            teacher=tmp_path / 'teacher.py',
            checkpoint=teacher['checkpoint'],
        )
    )
    return tmp_path
