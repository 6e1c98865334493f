#!/usr/bin/env python
"""Measure a teacher's forward pass in other memory formats, and with folded BatchNorms.

    OMP_NUM_THREADS=2 python docs/results/speed/teacher_formats.py

It needs the package, installed or by PYTHONPATH. Weights and images are random; medians
of interleaved runs.
"""

import copy

from mmreviewkd.commands.measuring import median_seconds
from mmreviewkd.models.configs import model_config

import torch
import torch.nn as nn
from mmcv.cnn import fuse_conv_bn
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope

# config, images
TEACHERS = {
    'Faster R-CNN R101, 1 x 480x640': (
        'mmdet::faster_rcnn/faster-rcnn_r101_fpn_1x_coco.py',
        torch.randn(1, 3, 480, 640),
    ),
    'ResNet56, 64 x 32x32': (
        'mmreviewkd::cifar100/resnet56.py',
        torch.randn(64, 3, 32, 32),
    ),
}


def variants(model):
    """The same network in other forms, with what its images become, by their names."""
    last = dict(memory_format=torch.channels_last)
    half = dict(dtype=torch.bfloat16)
    folded = fuse_conv_bn(copy.deepcopy(model))
    forms = {
        'as it is': (model, {}),
        'channels_last': (copy.deepcopy(model), last),
        'folded': (folded, {}),
        'folded, channels_last': (copy.deepcopy(folded), last),
        'bfloat16': (copy.deepcopy(model), half),
        'bfloat16, channels_last': (copy.deepcopy(model), dict(half, **last)),
    }
    return {
        name: (each.to(**to) if to else each, to) for name, (each, to) in forms.items()
    }


def features(model):
    """What a teacher runs: backbone and neck."""
    neck = getattr(model, 'neck', None)
    return nn.Sequential(model.backbone, neck) if neck else model.backbone


def step(model, images):
    return lambda: model(images)


@torch.no_grad()
def main():
    init_default_scope('mmdet')
    print(f'torch {torch.__version__}, {torch.get_num_threads()} threads')
    for title, (config, images) in TEACHERS.items():
        settings = model_config(config)
        settings.backbone.pop('init_cfg', None)
        forms = variants(features(MODELS.build(settings)).eval())
        steps = {
            name: step(each, images.to(**to) if to else images)
            for name, (each, to) in forms.items()
        }
        seconds = median_seconds(steps, 7, 'cpu')
        ratios = (f'{k} {v / seconds["as it is"]:.2f}x' for k, v in seconds.items())
        print(f'{title}: {1000 * seconds["as it is"]:.0f} ms; {"; ".join(ratios)}')


if __name__ == '__main__':
    main()
