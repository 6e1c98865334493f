"""Every config parses and builds, with the published settings in place."""
from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config

from mmreviewkd.models import ReviewKD, teacher

ROOT = Path(__file__).parents[1]
CONFIGS = sorted(
    path.relative_to(ROOT) for path in ROOT.glob('configs/[!_]*/*.py'))
DISTILLED = [path for path in CONFIGS if path.name.startswith('review-kd_')]


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
    assert len(model.pairs) == 5
    assert len(path.read_text().splitlines()) <= 15
    # student alone and distilled differ in the model and in nothing else
    cfg = Config.fromfile(path)  # mmdet's builders write into theirs
    base = Config.fromfile(path.parent / path.read_text().split("'")[1])
    assert cfg.model.student == base.model
    for key in set(base) - {'model', 'custom_imports'}:
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
