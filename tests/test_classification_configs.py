"""Each classification config trains, saves, resumes and is exported."""

import re
import runpy
import sys

from mmreviewkd.compat import load_from_local
from mmreviewkd.methods import sskd
from mmreviewkd.models import teacher
from mmreviewkd.models.configs import plain_model
from tests.support.paths import ROOT

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.runner import Runner

SLOW = re.compile(
    # large ones, whose networks other configs have as well
    r'after-relu|resnet50|resnet110|resnet34|/(?!review-kd)[^/]*_resnet32x4_|'
    # more of the same
    r'/fixed_|resnet8-w8|/benchmark/|'
    # networks that the pairs train, and what has a twin with 100 classes
    r'cifar100/(resnet8x4|resnet32x4|vgg|wrn|shufflenet)|cifar20/(?!review-kd|weights)|'
    # those whose methods test_of_classifiers.py trains, resumes and exports
    r'/(cc|correlation-congruence|crd-kd|dist|dkd|fitnet|kd_resnet56|lskd|lskd-dkd|ofd|pkt|rkd|vid)_'
)
CONFIGS = sorted(
    path.relative_to(ROOT)
    for folder in ('cifar100', 'cifar20', 'imagenet')
    for path in ROOT.glob(f'configs/{folder}/**/*.py')
    # a teacher's statistics, over a config that is here; a head, which is no classifier
    if path.parent.name != 'public' and not path.name.startswith('sskd-head_')
)
assert len([c for c in CONFIGS if c.name.startswith('review-kd_')]) == 14


@pytest.mark.parametrize(
    'path',
    [
        pytest.param(path, marks=pytest.mark.slow if SLOW.search(str(path)) else ())
        for path in CONFIGS
    ],
    ids=str,
)
def test_two_iterations_resume_and_export(path, tmp_path, monkeypatch):
    # the teachers' weights are downloads, or come out of their own runs
    monkeypatch.setattr(teacher, 'load_strictly', lambda *args: None)
    monkeypatch.setattr(sskd, 'load_head', lambda *args: None)
    side = 224 if path.parts[1] == 'imagenet' else 32
    rng = np.random.RandomState(0)
    np.savez(
        tmp_path / 'images',
        y=np.arange(6),
        x=rng.randint(0, 256, (6, side, side, 3)).astype(np.uint8),
    )
    for epochs in (1, 2):
        cfg = Config.fromfile(ROOT / path)
        cfg.work_dir = str(tmp_path / 'run')
        cfg.visualizer.name = f'{path.stem}_{epochs}'
        cfg.train_dataloader = dict(
            batch_size=3,  # two images have no relation but one
            num_workers=0,
            collate_fn=dict(type='as_is'),
            sampler=dict(type='DefaultSampler', shuffle=True),
            dataset=dict(
                type='ArchiveImages',
                num_classes=1000,
                path=str(tmp_path / 'images.npz'),
            ),
        )
        # the features of a deep teacher that was not trained are very large
        cfg.optim_wrapper.optimizer.lr *= 1e-4
        cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
        cfg.test_dataloader = cfg.test_cfg = cfg.test_evaluator = None
        cfg.train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=epochs)
        cfg.default_hooks.checkpoint = dict(type='CheckpointHook', interval=1)
        cfg.resume = epochs == 2
        runner = Runner.from_cfg(cfg)
        runner.train()
    assert (runner.epoch, runner.iter) == (2, 4)
    hub = runner.message_hub
    assert len(hub.get_scalar('train/loss_cls').data[0]) == 4
    if cfg.model.type == 'ReviewKD':
        for name in runner.model.distillation.methods:
            if getattr(runner.model, name).weight:
                assert hub.get_scalar(f'train/loss_{name}').current() > 0
    warmups = [hook for hook in cfg.get('custom_hooks', []) if 'warmup' in hook]
    for hook in warmups:
        # from 0 in the first epoch
        for name in hook.get('methods', runner.model.distillation.methods):
            method = getattr(runner.model, name)
            weights = hub.get_scalar(f'train/{name}_weight').data[0]
            if method.auto is None:
                expected = [0, 0] + 2 * [method.weight / hook.warmup]
                assert weights == pytest.approx(expected)
            else:
                assert len(weights) == 4
                assert not weights[:2].any() and (weights[2:] > 0).all()

    monkeypatch.setattr(
        sys,
        'argv',
        [
            'export_student.py',
            str(tmp_path / 'run' / 'epoch_2.pth'),
            str(tmp_path / 'student.pth'),
        ],
    )
    runpy.run_path(str(ROOT / 'tools' / 'export_student.py'), run_name='__main__')
    plain = MODELS.build(plain_model(Config.fromfile(ROOT / path).model))
    plain.load_state_dict(load_from_local(str(tmp_path / 'student.pth'))['state_dict'])
    for key, value in plain.state_dict().items():
        assert torch.equal(value, runner.model.state_dict()[key]), key
