"""``mmreviewkd distill --method``: each method, with what it was published with."""

from mmreviewkd.methods.published import PUBLISHED
from tests.support.commands import call, refused
from tests.support.detectors import tiny_detector
from tests.support.logs import scalars
from tests.support.project import PLAIN_CONFIG

import pytest
import torch
from mmengine.config import Config

METHODS = [name for name in PUBLISHED if name != 'review']


@pytest.fixture
def distill(project, teachers, coco):
    """Runs the tool on a Faster R-CNN, or on a RetinaNet."""
    for name, model in (
        ('small', tiny_detector('retinanet')),
        ('large', teachers['retinanet']['config']),
    ):
        text = PLAIN_CONFIG.format(model=model.to_dict(), root=coco)
        (project / f'{name}.py').write_text(text)

    def run(*flags, family='faster_rcnn', tool=call):
        student, teacher = dict(
            faster_rcnn=('plain', 'teacher'), retinanet=('small', 'large')
        )[family]
        return tool(
            'distill',
            project / f'{student}.py',
            '--teacher',
            project / f'{teacher}.py',
            '--teacher-checkpoint',
            teachers[family]['checkpoint'],
            *flags,
        )

    return run


@pytest.fixture
def merged(distill, project):
    """The config that flags make, which is written in place of a run."""

    def read(*flags, family='faster_rcnn'):
        folder = project / 'run'
        assert distill(*flags, '--work-dir', folder, '--dry-run', family=family) is None
        (path,) = folder.glob('*.py')
        cfg = Config.fromfile(path)
        path.unlink()
        return path.stem, cfg

    return read


def assert_published(cfg, names, two_stage):
    assert cfg.model.methods == {
        name.replace('-', '_'): PUBLISHED[name][two_stage] for name in names
    }
    clipped = {PUBLISHED[name].clip_grad for name in names} - {None}
    expected = dict(max_norm=clipped.pop()) if clipped else None
    assert cfg.optim_wrapper.get('clip_grad') == expected


@pytest.mark.parametrize(
    'names',
    [
        METHODS[:-1],  # all that a Faster R-CNN can learn by, at once
        *(pytest.param([name], marks=pytest.mark.slow) for name in METHODS),
    ],
    ids='_'.join,
)
def test_a_run_of_each(distill, project, monkeypatch, names):
    monkeypatch.chdir(project)
    family = 'retinanet' if names == ['binary-kd'] else 'faster_rcnn'
    run = '_'.join(names)
    short = 'train_cfg.max_epochs=1', 'val_dataloader=None', 'val_cfg=None'
    options = '--cfg-options', *short, 'val_evaluator=None', f'visualizer.name={run}'
    assert distill('--method', *names, *options, family=family) is None
    pair = 'large_small' if family == 'retinanet' else 'teacher_plain'
    folder = project / 'work_dirs' / f'{run}_{pair}'
    cfg = Config.fromfile(folder / f'{run}_{pair}.py')
    assert 'review' not in cfg.model
    assert_published(cfg, names, two_stage=family == 'faster_rcnn')
    for name in names:
        key = f'loss_{name.replace("-", "_")}'
        losses = [line[key] for line in scalars(folder) if key in line]
        assert losses and all(0 < loss < float('inf') for loss in losses)
    state = torch.load(folder / 'epoch_1.pth', weights_only=False)['state_dict']
    assert not any(entry.startswith('review') for entry in state)


@pytest.mark.slow
def test_an_interrupted_run_ends_as_the_other(distill, project):
    # masks are drawn at random, and three of the methods have parameters
    methods = (
        '--method',
        'mimic',
        'mgd',
        'fgd',
        '--set',
        'model.methods.mgd.weight=1e-3',
    )
    plain = 'val_dataloader=None', 'val_cfg=None', 'val_evaluator=None'
    for folder, epochs, more in (
        ('whole', 2, []),
        ('parts', 1, []),
        ('parts', 2, ['--resume']),
    ):
        options = f'train_cfg.max_epochs={epochs}', f'visualizer.name={folder}{epochs}'
        flags = '--work-dir', project / folder, *more
        assert distill(*methods, *flags, '--cfg-options', *plain, *options) is None
    whole, parts = (
        torch.load(project / folder / 'epoch_2.pth', weights_only=False)['state_dict']
        for folder in ('whole', 'parts')
    )
    assert any(key.startswith('mgd.generate') for key in whole)
    assert set(whole) == set(parts)
    for key, value in whole.items():
        assert torch.equal(value, parts[key]), key


def test_a_one_stage_student_takes_its_own_settings(merged):
    names = 'pkd', 'cwd', 'mgd', 'fgd', 'mimic', 'binary-kd'
    _, cfg = merged('--method', *names, family='retinanet')
    assert_published(cfg, names, two_stage=False)


def test_a_weight_and_several_methods(merged):
    name, cfg = merged('--method', 'pkd', '--weight', 2, '--warmup', 3)
    assert name == 'pkd_teacher_plain'
    assert cfg.model.methods == dict(pkd=dict(type='PKD', weight=2.0))
    assert 'clip_grad' not in cfg.optim_wrapper
    assert cfg.custom_hooks == [dict(type='ReviewWeightHook', warmup=3)]
    name, cfg = merged(
        *('--method', 'review', 'pkd', 'mgd', 'pkd', '--strides', 4, 8),
        *('--set', 'model.methods.mgd.mask_ratio=0.5'),
        *('--cfg-options', 'optim_wrapper.clip_grad.max_norm=1'),
    )
    assert name == 'review-kd_pkd_mgd_teacher_plain'
    assert cfg.model.review == dict(weight=1.0)
    assert cfg.model.methods == dict(
        pkd=dict(type='PKD', weight=6.0),
        mgd=dict(type='MGD', weight=5e-7, mask_ratio=0.5),
    )
    assert cfg.model.strides == [4, 8]
    # what the student's own config clips, stays
    assert cfg.optim_wrapper.clip_grad == dict(max_norm=1)


def test_a_weight_that_follows_gradients(merged):
    assert merged('--weight', 'auto')[1].model.review == dict(weight='auto')


@pytest.mark.parametrize(
    'flag, text, message',
    [
        ('--weight', 'atuo', 'must be a number or auto; near names: auto'),
        ('--weight', '1,5', 'must be a number or auto'),
        ('--warmup', '-1', 'must be a whole number >= 0'),
        ('--warmup', '1.5', 'must be a whole number >= 0'),
    ],
)
def test_a_flag_that_is_no_number(distill, project, capsys, flag, text, message):
    assert distill(f'{flag}={text}', '--work-dir', project / 'run') == 2
    assert (
        capsys.readouterr()
        .err.splitlines()[-1]
        .endswith(f'error: argument {flag}: {text}: {message}')
    )
    assert not (project / 'run').exists()


@pytest.mark.parametrize(
    'flags, message',
    [
        (['pdk'], '--method pdk: is no method; near names: pkd'),
        (['sskdd'], '--method sskdd: is no method; near names: sskd'),
        (['PKD'], '--method PKD: is no method; near names: pkd'),
        (['pkd', 'xyz'], '--method xyz: is no method; there are review, mimic, pkd, '),
        *(
            (
                ['pkd', name],
                f'--method {name}: is a method for classifiers, and distill is for '
                'detectors; its configs are in configs/cifar100: mmreviewkd train '
                f'mmreviewkd::cifar100/{name.lower()}_resnet56_resnet20.py',
            )
            for name in ('at', 'CRD')
        ),
        (
            ['review', 'pkd', '--weight', 2],
            '--weight 2.0: is the weight of one method, and --method names 2; use ',
        ),
        (['pkd', '--weight', -1], '--weight -1.0: the weight of the loss pkd must be '),
        (
            ['pkd', '--set', 'model.methods.pkd.weight=-1'],
            'pkd=dict(weight=-1): the weight of the loss pkd must be ',
        ),
        (
            ['pkd', '--weight', 'auto'],
            '--weight auto: the weight of the loss pkd must ',
        ),
        (['binary-kd'], 'compares sigmoid probabilities'),
    ],
)
def test_what_cannot_be_is_refused(distill, project, flags, message):
    folder = project / 'run'
    line = distill('--method', *flags, '--work-dir', folder, tool=refused)
    assert message in line
    assert not folder.exists()
