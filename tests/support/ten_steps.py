"""Ten steps of five distillations, written down to the last bit.

``compare_commits.py`` runs this file with the package of one commit and of
another. It uses what a config and mmengine's Runner use, and no test helper, so
that it can go back in time.
"""

import copy
import hashlib
import json
import sys
import tempfile
from pathlib import Path

import mmreviewkd  # noqa: F401

import torch
from mmdet.registry import MODELS
from mmdet.testing import demo_mm_inputs
from mmengine.config import ConfigDict
from mmengine.hub import get_config
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import init_default_scope

STEPS = 10


def detector(config: str, width: int, channels: int) -> ConfigDict:
    """Model of one of mmdet's configs with a ResNet-18 of a few channels."""
    model = get_config(f'mmdet::{config}.py').model
    model.backbone.update(
        depth=18, base_channels=width, frozen_stages=-1, norm_eval=False, init_cfg=None
    )
    model.neck.update(
        in_channels=[width * 2**i for i in range(4)], out_channels=channels
    )
    if 'bbox_head' in model:
        model.bbox_head.update(
            in_channels=channels,
            feat_channels=channels,
            stacked_convs=1,
            num_classes=2,
        )
        return model
    model.rpn_head.update(in_channels=channels, feat_channels=channels)
    model.roi_head.bbox_roi_extractor.out_channels = channels
    model.roi_head.bbox_head.update(
        in_channels=channels, fc_out_channels=16, num_classes=2
    )
    return model


def rtmdet(widen: float) -> ConfigDict:
    model = get_config('mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py').model
    channels = int(256 * widen)
    model.backbone.update(widen_factor=widen, init_cfg=None)
    model.neck.update(
        in_channels=[channels, 2 * channels, 4 * channels], out_channels=channels
    )
    model.bbox_head.update(in_channels=channels, feat_channels=channels, num_classes=2)
    return model


def classifier(depth: int, widths: tuple) -> ConfigDict:
    return ConfigDict(
        type='ImageClassifier',
        backbone=dict(type='CifarResNet', depth=depth, widths=widths, num_classes=10),
        data_preprocessor=dict(
            type='CropFlipPreprocessor',
            mean=[125.3, 123.0, 113.9],
            std=[63.0, 62.1, 66.7],
            padding=4,
            flip=True,
        ),
    )


FASTER, RETINA = (
    'faster_rcnn/faster-rcnn_r50_fpn_1x_coco',
    'retinanet/retinanet_r50_fpn_1x_coco',
)
# student, teacher, what ReviewKD is told besides
PAIRS = {
    'faster-rcnn': (detector(FASTER, 4, 8), detector(FASTER, 8, 16), {}),
    'retinanet': (detector(RETINA, 4, 8), detector(RETINA, 8, 16), {}),
    'rtmdet': (rtmdet(0.0625), rtmdet(0.125), {}),
    'classifier': (
        classifier(8, (4, 4, 8, 16)),
        classifier(14, (8, 8, 16, 32)),
        {},
    ),
    'review-dkd': (
        detector(FASTER, 4, 8),
        detector(FASTER, 8, 16),
        dict(logits=dict(type='DKDLoss', alpha=1.0, beta=0.25, temperature=1.0)),
    ),
}


def batches(name: str) -> list:
    """Of random images with random boxes, or labels."""
    if name == 'classifier':
        generator = torch.Generator().manual_seed(0)
        return [
            dict(
                inputs=torch.randint(
                    0, 256, (8, 3, 32, 32), generator=generator, dtype=torch.uint8
                ),
                data_samples=torch.randint(0, 10, (8,), generator=generator),
            )
            for _ in range(STEPS)
        ]
    return [
        demo_mm_inputs(2, [[3, 96, 128], [3, 80, 112]], num_items=[3, 2], num_classes=2)
        for _ in range(STEPS)
    ]


def run(name: str, folder: Path) -> dict:
    """Losses of each step, and what the model is at the end."""
    student, teacher, more = PAIRS[name]
    torch.manual_seed(1)
    weights = MODELS.build(copy.deepcopy(teacher)).state_dict()
    torch.save(dict(state_dict=weights, meta={}), folder / f'{name}.pth')
    torch.manual_seed(0)
    model = MODELS.build(
        ConfigDict(
            type='ReviewKD',
            student=student,
            teacher=dict(config=teacher, checkpoint=str(folder / f'{name}.pth')),
            review=dict(weight=1.0),
            **more,
        )
    )
    model.init_weights()
    model.train()
    optimizer: OptimWrapper = build_optim_wrapper(
        model, dict(optimizer=dict(type='SGD', lr=1e-3, momentum=0.9))
    )
    steps = []
    for number, batch in enumerate(batches(name)):
        torch.manual_seed(number)
        losses = model.train_step(batch, optimizer)
        steps.append({key: float(value).hex() for key, value in losses.items()})
    digest = hashlib.sha256()
    for key, value in model.state_dict().items():
        digest.update(key.encode())
        if not key.endswith('_extra_state'):
            digest.update(value.numpy().tobytes())
    return dict(
        steps=steps,
        keys=list(model.state_dict()),
        parameters=[key for key, _ in model.named_parameters()],
        state=digest.hexdigest(),
    )


if __name__ == '__main__':
    torch.set_num_threads(1)
    init_default_scope('mmdet')
    with tempfile.TemporaryDirectory() as temporary:
        results = {name: run(name, Path(temporary)) for name in PAIRS}
    Path(sys.argv[1]).write_text(json.dumps(results))
