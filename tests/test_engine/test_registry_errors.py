"""Unknown classes and arguments in what a config builds."""

from mmreviewkd.engine.registry_errors import registry_error
from tests.support.detectors import tiny_detector

import pytest
import torch.nn as nn
from mmdet.registry import DATASETS, HOOKS, MODELS, PARAM_SCHEDULERS
from mmengine.optim import build_optim_wrapper
from mmengine.registry import RUNNERS


def said(build, *args):
    with pytest.raises(Exception) as caught:
        build(*args)
    return registry_error(caught.value)


def detector(**settings):
    cfg = tiny_detector()
    for path, value in settings.items():
        *parents, name = path.split('__')
        node = cfg
        for parent in parents:
            node = node[parent]
        node[name] = value
    return cfg


@pytest.mark.parametrize(
    'settings, message',
    [
        (
            dict(type='FasterRCN'),
            "type='FasterRCN' is not in the mmdet::model "
            'registry; near names: FasterRCNN, FastRCNN, TridentFasterRCNN',
        ),
        (dict(type='mmdet.fasterrcnn'), 'near names: FasterRCNN, '),
        (
            dict(type='no.such.Class'),
            "type='no.such.Class' is not in the mmdet::model registry",
        ),
        (dict(type=3), 'type=3: type must be a str or valid type, but got'),
        (dict(nek=1), 'FasterRCNN has no argument nek; near names: neck'),
        (
            dict(backbone__dept=18),
            'ResNet has no argument dept; near names: depth, deep_stem (in FasterRCNN)',
        ),
        (
            dict(roi_head__bbox_head__loss_cls__use_sigmoidd=True),
            'CrossEntropyLoss has no argument use_sigmoidd; near names: use_sigmoid '
            '(in Shared2FCBBoxHead of StandardRoIHead of FasterRCNN)',
        ),
        (
            dict(backbone__norm_cfg=dict(type='BNN')),
            "type='BNN' is not in the "
            'mmdet::model registry; near names: BN (in ResNet of FasterRCNN)',
        ),
        (
            dict(backbone__norm_cfg=dict(type='BN', epsilon=1.0)),
            'BatchNorm2d has no argument epsilon; near names: eps',
        ),
        (dict(backbone=dict(type='ResNet')), "type='ResNet': "),
        (
            dict(backbone=dict(depth=18)),
            'the config has a dict without type; its keys are depth (in FasterRCNN)',
        ),
        (
            dict(backbone='ResNet'),
            "the config has 'ResNet', which is no dict(type=...) (in FasterRCNN)",
        ),
    ],
)
def test_models(settings, message):
    assert message in said(MODELS.build, detector(**settings))


def test_a_missing_argument_is_named():
    line = said(MODELS.build, detector(backbone=dict(type='ResNet')))
    assert "missing 1 required positional argument: 'depth'" in line


@pytest.mark.parametrize(
    'build, cfg, message',
    [
        (
            HOOKS.build,
            dict(type='LoggerHook', intervall=1),
            'LoggerHook has no argument intervall; near names: interval',
        ),
        # refused by one of its bases
        (
            DATASETS.build,
            dict(type='CocoDataset', ann_fil='x'),
            'CocoDataset has no argument ann_fil; near names: ann_file',
        ),
        (
            PARAM_SCHEDULERS.build,
            dict(type='LinerLR', convert_to_iter_based=True, epoch_length=3),
            'near names: LinearLR',
        ),
        (
            RUNNERS.build,
            dict(runner_type='Runer'),
            "type='Runer' is not in the mmdet::runner registry; near names: Runner",
        ),
        (
            lambda cfg: build_optim_wrapper(nn.Linear(1, 1), cfg),
            dict(optimizer=dict(type='SGD', lr=0.1, momentun=0.9)),
            'SGD has no argument momentun; near names: momentum',
        ),
        (
            lambda cfg: build_optim_wrapper(nn.Linear(1, 1), cfg),
            dict(optimizer=dict(type='SGD', lr=0.1), clip_gard=1),
            'OptimWrapper has no argument clip_gard; near names: clip_grad',
        ),
    ],
)
def test_other_registries(build, cfg, message):
    assert message in said(build, cfg)


@MODELS.register_module()
class Faulty(nn.Module):
    """Its own mistakes are not the user's."""

    def __init__(self, error, **kwargs):
        super().__init__()
        if error is None:
            self.call(unknown=1)
        raise error

    def call(self):
        pass


@pytest.mark.parametrize(
    'error',
    [
        None,
        KeyError('x is not in the mmdet::model registry'),
        TypeError('no'),
        RuntimeError('Failed to get x'),
        ValueError('x'),
    ],
)
def test_other_errors_are_left_alone(error):
    assert said(MODELS.build, dict(type='Faulty', error=error)) is None
    with pytest.raises(Exception) as caught:
        Faulty(error)
    assert registry_error(caught.value) is None
    assert registry_error(KeyError('x')) is None
