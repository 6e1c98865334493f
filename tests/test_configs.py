"""Every config parses and builds, with the published settings in place."""
from pathlib import Path

from mmreviewkd.models import ReviewKD, teacher

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config

ROOT = Path(__file__).parents[1]
CONFIGS = sorted(
    path.relative_to(ROOT) for path in ROOT.glob('configs/[!_]*/**/*.py'))
DISTILLED = [path for path in CONFIGS if path.name.startswith('review-kd_')]
DETECTORS = ('cbc', 'coco', 'demo')


@pytest.fixture(autouse=True)
def in_root(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize('path', CONFIGS, ids=str)
def test_builds(path, monkeypatch):
    # the weights are downloads, or come out of the teacher's own run
    loaded = []
    monkeypatch.setattr(teacher, 'load_strictly',
                        lambda model, *args: loaded.append(args))
    cfg = Config.fromfile(path)
    model = MODELS.build(cfg.model)
    if path not in DISTILLED:
        return
    assert isinstance(model, ReviewKD)
    assert loaded == [(cfg.model.teacher.checkpoint, cfg.model.teacher.config)]
    if path.parts[1] in DETECTORS:
        assert len(model.pairs) == 5
    assert len(path.read_text().splitlines()) <= 15
    # student alone and distilled differ in the model and in nothing else
    cfg = Config.fromfile(path)  # mmdet's builders write into theirs
    base = Config.fromfile(path.parent / path.read_text().split("'")[1])
    assert cfg.model.student == base.model
    for key in set(base) - {'model', 'custom_imports', 'custom_hooks'}:
        assert cfg[key] == base[key], key


@pytest.mark.parametrize('name, weight, channels', [
    ('faster-rcnn_r101-r50', 1.0, [256] * 5),
    ('faster-rcnn_r101-r18', 1.2, [256] * 5),
    ('retinanet_r101-r50', 1.0, [256] * 5),
])
def test_published_coco_settings(name, weight, channels, monkeypatch):
    monkeypatch.setattr(teacher, 'load_strictly', lambda *args: None)
    cfg = Config.fromfile(f'configs/coco/review-kd_{name}_fpn_ms-1x_coco.py')
    assert cfg.model.review.weight == weight
    model = MODELS.build(cfg.model)
    assert [abf.reduce.conv.out_channels
            for abf in model.review.levels] == channels
    assert [abf.output.conv.out_channels
            for abf in model.review.levels] == channels
    assert model.teacher.channels == channels
    model.train()
    norms = [m for m in model.backbone.modules()
             if isinstance(m, torch.nn.BatchNorm2d)]
    assert not any(m.training or m.weight.requires_grad for m in norms)
    # batch 8 at lr 0.01 (RetinaNet 0.005), 180k iterations, decay at 120k and
    # 160k, is twice the batch and rate for 12 epochs, decay after 8 and 11
    lr = cfg.optim_wrapper.optimizer.lr / cfg.auto_scale_lr.base_batch_size * 8
    assert lr == (0.005 if 'retinanet' in name else 0.01)
    assert cfg.train_cfg.max_epochs == 12
    assert cfg.param_scheduler[1].milestones == [8, 11]
    (resize, ) = [t for t in cfg.train_dataloader.dataset.pipeline
                  if t.type == 'RandomChoiceResize']
    assert [s for _, s in resize.scales] == [640, 672, 704, 736, 768, 800]


PUBLISHED = """
cifar100 resnet56 resnet20 0.6 64 | 16,32,64,64 | 16,32,64,64
cifar100 resnet110 resnet32 1.0 64 | 16,32,64,64 | 16,32,64,64
cifar100 resnet32x4 resnet8x4 5.0 256 | 64,128,256,256 | 64,128,256,256
cifar100 wrn-40-2 wrn-16-2 5.0 128 | 32,64,128,128 | 32,64,128,128
cifar100 wrn-40-2 wrn-40-1 5.0 64 | 16,32,64,64 | 32,64,128,128
cifar100 vgg13 vgg8 - 512 | 128,256,512,512,512 | 128,256,512,512,512
cifar100 resnet32x4 shufflenet-v1 5.0 512 | 240,480,960,960 | 64,128,256,256
cifar100 wrn-40-2 shufflenet-v1 5.0 512 | 240,480,960,960 | 32,64,128,128
cifar100 resnet32x4 shufflenet-v2 8.0 512 | 116,232,464,1024 | 64,128,256,256
cifar100 vgg13 mobilenet-v2 - 512 | 12,16,48,160,1280 | 128,256,512,512,512
cifar100 resnet50 mobilenet-v2 - 512 | 12,16,48,160,1280 | 256,512,1024,2048,2048
imagenet resnet34 resnet18 1.0 512 | 64,128,256,512,512 | 64,128,256,512,512
imagenet resnet50 mobilenet-v1 8.0 256 | 128,256,512,1024,1024 | 256,512,1024,2048,2048
"""  # noqa: E501


@pytest.mark.parametrize('row', PUBLISHED.strip().splitlines())
def test_published_classification_settings(row, monkeypatch):
    monkeypatch.setattr(teacher, 'load_strictly', lambda *args: None)
    facts, channels_in, channels_out = row.split(' | ')
    folder, big, small, weight, mid = facts.split()
    cfg = Config.fromfile(f'configs/{folder}/review-kd_{big}_{small}.py')
    if weight != '-':  # else not published, and the config says why it is so
        assert cfg.model.review.weight == float(weight)
    model = MODELS.build(cfg.model)
    levels = model.review.levels
    assert ','.join(str(a.reduce.conv.in_channels)
                    for a in levels) == channels_in
    assert ','.join(str(a.output.conv.out_channels)
                    for a in levels) == channels_out
    assert {a.reduce.conv.out_channels for a in levels} == {int(mid)}

    sgd = cfg.optim_wrapper.optimizer
    assert sgd.momentum == 0.9
    if folder == 'cifar100':
        assert sgd.lr == (0.02 if 'net-v' in small else 0.1)
        assert (sgd.weight_decay, sgd.nesterov) == (5e-4, True)
        assert cfg.train_dataloader.batch_size == 128
        assert cfg.train_cfg.max_epochs == 240
        assert cfg.param_scheduler[0].milestones == [150, 180, 210]
        (hook, ) = cfg.custom_hooks
        assert hook == dict(type='ReviewWeightHook', warmup=20)
        assert 'levels' not in cfg.model.student  # after the activation
    else:
        assert (sgd.lr, sgd.weight_decay, sgd.nesterov) == (0.1, 1e-4, False)
        assert cfg.train_dataloader.batch_size * 4 == 256
        assert cfg.train_cfg.max_epochs == 100
        assert cfg.param_scheduler[0].milestones == [30, 60, 90]
        assert 'custom_hooks' not in cfg
        assert cfg.model.student.levels == 'before'
