"""Every config parses and builds, with the published settings in place."""

import copy
import functools
from pathlib import Path

from mmreviewkd.methods import published, sskd
from mmreviewkd.models import Distilled, detectors, teacher
from mmreviewkd.models.configs import load_config
from tests.support.paths import ROOT

import mmengine
import pytest
import torch
import yaml
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.optim import build_optim_wrapper

CONFIGS = sorted(path.relative_to(ROOT) for path in ROOT.glob('configs/[!_]*/**/*.py'))
DISTILLED = [
    path for path in CONFIGS if path.name.startswith(('review-kd_', 'review-dkd_'))
]
DETECTORS = ('cbc', 'coco', 'deeppcb', 'demo', 'pairs')
# detectors that learn by another method
OTHERS = [
    path
    for path in CONFIGS
    if path.parts[1] in DETECTORS and path.name.split('_')[0] in published.PUBLISHED
]
METAFILES = sorted(
    path.relative_to(ROOT) for path in ROOT.glob('configs/*/metafile.yml')
)
# other configs of the fast suite are much like them
SLOW = [
    path
    for path in CONFIGS
    if (path.parts[1] == 'coco' and 'x101' in path.name)
    or (path in OTHERS and path.name.endswith('_deeppcb.py'))
    or (path in OTHERS and 'retinanet_r18-w16' in path.name)
    or (path not in DISTILLED and path.name.endswith('_resnet32x4_resnet8x4.py'))
]
_LOAD = functools.lru_cache(maxsize=None)(mmengine.load)

# strides | the student's channels | the teacher's, of each pair across shapes
LEVELS = {
    'backbone_retinanet_r101-r18_fpn_1x_coco': '4,8,16,32 | '
    '64,128,256,512 | 256,512,1024,2048',
    'binary-kd_retinanet_r101-r50_fpn_1x_coco': '8,16,32,64,128 | '
    '256,256,256,256,256 | 256,256,256,256,256',
    'cascade-mask-rcnn-x101_faster-rcnn-r50_fpn_1x_coco': '4,8,16,32,64 | '
    '256,256,256,256,256 | 256,256,256,256,256',
    'faster-rcnn-r101_retinanet-r50_fpn_1x_coco': '8,16,32,64 | '
    '256,256,256,256 | 256,256,256,256',
    'fcos-x101_retinanet-r50_fpn_1x_coco': '8,16,32,64,128 | '
    '256,256,256,256,256 | 256,256,256,256,256',
    'half-size_retinanet_r101-r18_fpn_1x_coco': '8,16,32,64 | '
    '256,256,256,256 | 256,256,256,256',
    'mask-rcnn_swin-s-r50_fpn_1x_coco': '4,8,16,32,64 | '
    '256,256,256,256,256 | 256,256,256,256,256',
    'rtmdet_l-tiny_8xb32-300e_coco': '8,16,32 | 96,96,96 | 256,256,256',
}


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch, tmp_path):
    """No config depends on the folder that a program is started in."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Large models in a second: no weights, a small image to find levels."""
    loaded = []
    # the weights are downloads, or come out of the teacher's own run
    monkeypatch.setattr(
        teacher, 'load_strictly', lambda model, *args: loaded.append(args[:2])
    )
    monkeypatch.setattr(sskd, 'load_head', lambda *args: None)
    monkeypatch.setattr(detectors, '_BLANK_SIZE', 128)
    for name in ('uniform_', 'normal_'):
        # torchvision's deformable convolution crashes at offsets that are not finite,
        # as memory that nobody has written to may be
        monkeypatch.setattr(torch.Tensor, name, lambda self, *_, **__: self.zero_())
    # mmengine reads all of mmdet's metafiles for each mmdet::...
    monkeypatch.setattr('mmengine.config.utils.load', _LOAD)
    return loaded


def each(paths):
    marked = [
        pytest.param(path, marks=pytest.mark.slow if path in SLOW else ())
        for path in paths
    ]
    return pytest.mark.parametrize('path', marked, ids=str)


def base_of(path):
    """A leaf config's base, as the repository or mmdet names it."""
    base = (ROOT / path).read_text().split("'")[1]
    return base if '::' in base else (path.parent / base).as_posix()


def load_base(path):
    base = base_of(path)
    # as a base, which leaves mmengine's scope in what comes from mmdet
    return (
        Config.fromstring(f"_base_ = '{base}'", '.py')
        if '::' in base
        else Config.fromfile(ROOT / base)
    )


@each(sorted(set(CONFIGS) - set(OTHERS)))
def test_builds(path, quick):
    cfg = Config.fromfile(ROOT / path)
    model = MODELS.build(cfg.model)
    if path not in DISTILLED:
        return
    assert isinstance(model, Distilled)
    assert quick == [(cfg.model.teacher.checkpoint, cfg.model.teacher.config)]
    if path.parts[1] == 'pairs':
        strides, ours, theirs = LEVELS[path.stem.partition('_')[2]].split(' | ')
        levels = model.review.levels
        assert model.distillation.match.names == [
            f'stride {s}' for s in strides.split(',')
        ]
        assert ','.join(str(a.reduce.conv.in_channels) for a in levels) == ours
        assert ','.join(str(a.output.conv.out_channels) for a in levels) == theirs
    elif path.parts[1] in DETECTORS:
        assert len(model.distillation.match.indices) == 5
    assert len((ROOT / path).read_text().splitlines()) <= 15
    # student alone and distilled differ in the model and in nothing else
    cfg = Config.fromfile(ROOT / path)  # mmdet's builders write into theirs
    base = load_base(path)
    assert cfg.model.student == base.model
    for key in set(base) - {'model', 'custom_imports', 'custom_hooks'}:
        assert cfg[key] == base[key], key


@each(OTHERS)
def test_other_methods(path, quick):
    assert len((ROOT / path).read_text().splitlines()) <= 13
    cfg, base = Config.fromfile(ROOT / path), load_base(path)
    # mmdet's builders write into the config
    model = MODELS.build(copy.deepcopy(cfg.model))
    assert quick == [(cfg.model.teacher.checkpoint, cfg.model.teacher.config)]
    name = path.name.split('_')[0]
    assert model.distillation.methods == [name]
    two_stage = 'roi_head' in cfg.model.student
    strides = [4, 8, 16, 32, 64] if two_stage else [8, 16, 32, 64, 128]
    if name == 'pkd' or (two_stage and name in ('mgd', 'fgd')):
        strides = strides[:4]
    assert model.distillation.match.names == [f'stride {s}' for s in strides]
    # the pair's review, or its student alone, differs in the model and in nothing
    # else, apart from the clipping of gradients
    assert cfg.model.student == base.model.get('student', base.model)
    own = cfg.optim_wrapper.pop('clip_grad', None)
    former = base.optim_wrapper.pop('clip_grad', None)
    norm = published.PUBLISHED[name].clip_grad
    assert own == (former or (norm and dict(max_norm=norm)))
    for key in set(base) - {'model', 'custom_imports'}:
        assert cfg[key] == base[key], key


@pytest.mark.parametrize(
    'path',
    [path for path in DISTILLED + OTHERS if path.parts[1] in ('coco', 'pairs')],
    ids=str,
)
def test_mmdets_teacher_has_mmdets_weights(path, quick):
    # as mmdet's own index pairs them
    given = Config.fromfile(ROOT / path).model.teacher
    assert given.checkpoint == get_config(given.config, True).model_path


@pytest.mark.parametrize(
    'name, weight, in_channels',
    [
        ('faster-rcnn_r101-r50', 1.0, [256, 512, 1024, 2048]),
        ('faster-rcnn_r101-r18', 1.2, [64, 128, 256, 512]),
        ('faster-rcnn_r50-mobilenet-v2', 2.0, [24, 32, 96, 320]),
        ('retinanet_r101-r50', 1.0, [256, 512, 1024, 2048]),
        ('mask-rcnn_r101-r18', 1.5, [64, 128, 256, 512]),
        ('mask-rcnn_r101-r50', 0.8, [256, 512, 1024, 2048]),
        ('mask-rcnn_r50-mobilenet-v2', 1.0, [24, 32, 96, 320]),
    ],
)
def test_published_coco_settings(name, weight, in_channels):
    cfg = load_config(f'mmreviewkd::coco/review-kd_{name}_fpn_ms-1x_coco.py')
    assert cfg.model.review == dict(weight=weight)
    # batch 8 at lr 0.01 (RetinaNet 0.005), 180k iterations, decay at 120k and
    # 160k, is twice the batch and rate for 12 epochs, decay after 8 and 11
    lr = cfg.optim_wrapper.optimizer.lr / cfg.auto_scale_lr.base_batch_size * 8
    assert lr == (0.005 if 'retinanet' in name else 0.01)
    assert cfg.train_cfg.max_epochs == 12
    assert cfg.param_scheduler[1].milestones == [8, 11]
    pipeline = cfg.train_dataloader.dataset.pipeline
    assert [step.type for step in pipeline] == [
        'LoadImageFromFile',
        'LoadAnnotations',
        'RandomChoiceResize',
        'RandomFlip',
        'PackDetInputs',
    ]
    assert pipeline[1].get('with_mask', False) == ('mask' in name)
    assert pipeline[2].scales == [(1333, s) for s in range(640, 801, 32)]

    model = MODELS.build(cfg.model)
    # no weight decay for the ABFs' BatchNorm, 1e-4 for all others
    without_decay = {
        id(group['params'][0])
        for group in build_optim_wrapper(
            model, cfg.optim_wrapper
        ).optimizer.param_groups
        if group['params'][0].requires_grad and not group['weight_decay']
    }
    assert {
        name
        for name, parameter in model.named_parameters()
        if id(parameter) in without_decay
    } == {
        f'review.levels.{i}.{part}.bn.{name}'
        for i in range(5)
        for part in ('reduce', 'output')
        for name in ('weight', 'bias')
    }
    assert cfg.optim_wrapper.optimizer.weight_decay == 1e-4
    for abf in model.review.levels:
        assert abf.reduce.conv.in_channels == 256
        assert abf.reduce.conv.out_channels == 256
        assert abf.output.conv.out_channels == 256
    assert model.distillation.teacher.levels.channels == [256] * 5
    assert model.neck.in_channels == in_channels
    model.train()
    norms = [m for m in model.backbone.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert norms
    assert not any(
        m.training or m.weight.requires_grad or m.bias.requires_grad for m in norms
    )
    # what the losses do not reach, DDP has to be told of
    maps = model.neck(model.backbone(torch.zeros(1, 3, 64, 64)))
    sum(map.sum() for map in maps).backward()
    unused = [
        key
        for key, parameter in model.backbone.named_parameters()
        if parameter.requires_grad and parameter.grad is None
    ]
    assert unused == (['conv2.conv.weight'] if 'mobilenet' in name else [])
    assert cfg.get('find_unused_parameters', False) == bool(unused)


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
"""


@pytest.mark.parametrize('row', PUBLISHED.strip().splitlines())
def test_published_classification_settings(row):
    facts, channels_in, channels_out = row.split(' | ')
    folder, big, small, weight, mid = facts.split()
    cfg = load_config(f'mmreviewkd::{folder}/review-kd_{big}_{small}.py')
    if weight != '-':  # else not published, and the config says why it is so
        assert cfg.model.review.weight == float(weight)
    model = MODELS.build(cfg.model)
    levels = model.review.levels
    assert ','.join(str(a.reduce.conv.in_channels) for a in levels) == channels_in
    assert ','.join(str(a.output.conv.out_channels) for a in levels) == channels_out
    assert {a.reduce.conv.out_channels for a in levels} == {int(mid)}

    sgd = cfg.optim_wrapper.optimizer
    assert sgd.momentum == 0.9
    if folder == 'cifar100':
        assert sgd.lr == (0.02 if 'net-v' in small else 0.1)
        assert (sgd.weight_decay, sgd.nesterov) == (5e-4, True)
        assert cfg.train_dataloader.batch_size == 128
        assert cfg.train_cfg.max_epochs == 240
        assert cfg.param_scheduler[0].milestones == [150, 180, 210]
        (hook,) = cfg.custom_hooks
        assert hook == dict(type='ReviewWeightHook', warmup=20)
        assert 'levels' not in cfg.model.student  # after the activation
    else:
        assert (sgd.lr, sgd.weight_decay, sgd.nesterov) == (0.1, 1e-4, False)
        assert cfg.train_dataloader.batch_size * 4 == 256
        assert cfg.train_cfg.max_epochs == 100
        assert cfg.param_scheduler[0].milestones == [30, 60, 90]
        assert 'custom_hooks' not in cfg
        assert cfg.model.student.levels == 'before'


def test_authors_imagenet_features_are_after_the_activation_of_resnets():
    for name, after in (
        ('resnet34_resnet18', (True, True)),
        ('resnet50_mobilenet-v1', (False, True)),
    ):
        cfg = load_config(f'mmreviewkd::imagenet/ablation/after-relu_{name}.py')
        model = MODELS.build(cfg.model)
        teacher = model.distillation.teacher
        networks = model.backbone, teacher.model.backbone
        recorded = model.distillation.names, teacher.names
        for network, names, is_after in zip(networks, recorded, after):
            levels = network.levels_after if is_after else network.levels_before
            assert names == [f'backbone.{level}' for level in levels]
            assert network.levels_after != network.levels_before


def test_public_teachers_have_their_statistics():
    teachers = {
        Path(Config.fromfile(path).model.teacher.config).name
        for path in ROOT.glob('configs/cifar100/review-kd_*.py')
    }
    public = sorted(ROOT.glob('configs/cifar100/public/*.py'))
    assert {path.name for path in public} == teachers
    for path in public:
        ours = Config.fromfile(path.parents[1] / path.name)
        cfg = Config.fromfile(path)
        settings = cfg.model.data_preprocessor
        assert settings.mean == pytest.approx(
            [255 * x for x in (0.5071, 0.4867, 0.4408)]
        )
        assert settings.std == pytest.approx(
            [255 * x for x in (0.2675, 0.2565, 0.2761)]
        )
        # and differ in nothing else
        settings.update(mean=[125.3, 123.0, 113.9], std=[63.0, 62.1, 66.7])
        assert dict(ours.items(), public_statistics=cfg.public_statistics) == dict(
            cfg.items()
        )


@pytest.mark.parametrize('path', METAFILES, ids=str)
def test_metafile(path):
    text = (ROOT / path).read_text(encoding='utf-8')
    meta = yaml.safe_load(text)
    (collection,) = meta['Collections']
    readme = (ROOT / collection['README']).read_text(encoding='utf-8')
    named = {}
    for entry in meta['Models']:
        assert entry['In Collection'] == collection['Name']
        config = Path(entry['Config'])
        assert config.parent.parts[:2] == path.parent.parts
        assert config.stem == entry['Name']
        assert (ROOT / config).is_file() and config not in named
        named[config] = entry
        results = entry['Results']
        for result in [] if results == 'not run' else results:
            assert set(result) == {'Task', 'Dataset', 'Metrics'}
            assert all(isinstance(value, float) for value in result['Metrics'].values())
    distilled = {p for p in DISTILLED + OTHERS if p.parent == path.parent}
    assert distilled <= set(named)
    for config, entry in named.items():
        cfg = Config.fromfile(ROOT / config)
        facts = entry['Metadata']
        assert facts['Epochs'] == cfg.train_cfg.max_epochs
        if cfg.model.type != 'ReviewKD':
            assert not {key for key in facts if key.endswith(('Teacher', ' weight'))}
            continue
        given = cfg.model.teacher.config.replace('mmreviewkd::', 'configs/')
        assert facts['Teacher'] == given
        methods = dict(cfg.model.get('methods', {}))
        if cfg.model.get('review'):
            methods['review'] = cfg.model.review
        assert {
            key[: -len(' weight')].lower(): value
            for key, value in facts.items()
            if key.endswith(' weight')
        } == {name: method.weight for name, method in methods.items()}
        if config in distilled:
            alone = base_of(config)
            if Path(alone).name.startswith('review-kd_'):
                alone = base_of(Path(alone))
            assert facts['Student'] == alone
            assert config.stem in readme


def test_every_folder_of_experiments_has_a_metafile():
    folders = {path.parts[1] for path in DISTILLED} - {'demo', 'demo_cls'}
    assert {path.parts[1] for path in METAFILES} == folders
