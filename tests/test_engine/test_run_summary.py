"""What stands at the console before the first iteration, and what in the file."""

import os
import subprocess
import sys

from mmreviewkd.engine.run_summary import run_summary

import pytest
from mmengine.config import Config
from mmengine.runner import Runner


def summary(project, name, changed=None, built=True, **settings):
    cfg = Config.fromfile(project / f'{name}.py')
    cfg.merge_from_dict(dict(work_dir=str(project / 'run'), **settings))
    runner = Runner.from_cfg(cfg)
    for split in ('train', 'val'):
        getattr(runner, f'{split}_loop')
    if not built:
        runner.model = cfg.model
    first, *lines = run_summary(runner, changed or {}).splitlines()
    assert not first
    return [tuple(line.split(None, 1)) for line in lines]


def test_of_a_distillation(project):
    rows = summary(
        project,
        'distil',
        {'train_cfg.max_epochs': 3},
        **{
            'train_cfg.max_epochs': 3,
            'model.methods.kd': dict(type='DKDLoss', weight=0.25),
            'model.strides': [8, 16],
            'train_dataloader.batch_sampler': dict(type='AspectRatioBatchSampler'),
        },
    )
    checkpoint = Config.fromfile(project / 'distil.py').model.teacher.checkpoint
    assert rows[:-2] == [
        ('config', str(project / 'distil.py')),
        ('changed', 'train_cfg.max_epochs=3'),
        ('student', 'FasterRCNN, 0.1 M parameters'),
        ('weights', 'none'),
        ('teacher', f'FasterRCNN, {checkpoint}'),
        ('levels', 'stride 8, stride 16'),
        ('method', 'kd: DKDLoss, weight 0.25'),
        ('method', 'review: weight 1'),
        ('train', '8 images, batches of 4'),
        ('val', '4 images, batches of 2'),
        ('schedule', '3 epochs of 2 iterations, AdamW, lr 0.001, seed 0'),
    ]
    assert rows[-2][0] == 'device' and 'torch' in rows[-2][1]
    assert rows[-1][0] == 'log' and str(project / 'run') in rows[-1][1]


def test_of_a_model_alone(project):
    rows = summary(
        project,
        'plain',
        val_dataloader=None,
        val_cfg=None,
        val_evaluator=None,
        train_cfg=dict(
            _delete_=True, type='IterBasedTrainLoop', max_iters=5, val_interval=9
        ),
        optim_wrapper=dict(type='AmpOptimWrapper'),
    )
    assert [name for name, _ in rows] == [
        *('config', 'model', 'weights', 'train', 'schedule', 'device', 'log')
    ]
    assert rows[4][1] == '5 iterations, AdamW, lr 0.001, mixed precision, seed 0'


def test_the_console_is_quiet_and_the_file_is_whole(project):
    done = subprocess.run(
        [sys.executable, '-m', 'mmreviewkd', 'train', 'distil.py'],
        cwd=project,
        capture_output=True,
        text=True,
        env=dict(os.environ, PYTHONWARNINGS=''),
    )
    assert done.returncode == 0, done.stderr
    console = (done.stderr + done.stdout).splitlines()
    first = next(i for i, line in enumerate(console) if 'Epoch(train) [1][1/2]' in line)
    assert first < 25
    assert not any('annotations' in line for line in console[:first])
    text = '\n'.join(console)
    (log,) = (project / 'work_dirs' / 'distil').glob('*/*.log')
    for words in ('System environment', 'Config:', 'Hooks will be executed'):
        assert words in log.read_text() and words not in text
    assert 'pkg_resources' not in text and 'FileClient' not in text
    assert 'levels    stride 4, ' in text and 'levels    stride 4, ' in log.read_text()


@pytest.mark.parametrize(
    'settings, expected',
    [
        ({'load_from': 'a.pth'}, 'a.pth'),
        ({'load_from': 'a.pth', 'resume': True}, 'of the run that is resumed'),
        (
            {'model.backbone.init_cfg': [dict(type='Pretrained', checkpoint='r.pth')]},
            'backbone of r.pth',
        ),
        (
            {'model.backbone.frozen_stages': 1},
            'none; yet frozen_stages=1 keeps the first layers as they are, at random: '
            'set frozen_stages=-1, norm_eval=False',
        ),
    ],
)
def test_what_a_model_starts_from(project, settings, expected):
    assert dict(summary(project, 'plain', **settings))['weights'] == expected


def test_parts_of_the_teacher(project):
    rows = dict(summary(project, 'distil', **{'model.inherit': ['neck']}))
    assert rows['weights'] == "the teacher's neck"


def test_a_model_that_is_built_later(project):
    # as mmengine's FlexibleRunner does it
    names = [name for name, _ in summary(project, 'plain', built=False)]
    assert names == ['config', 'train', 'val', 'schedule', 'device', 'log']
