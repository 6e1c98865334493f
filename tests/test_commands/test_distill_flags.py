"""Flags of ``distill`` for the merged config."""

from tests.support.commands import call

import pytest
from mmengine.config import Config


def distill(project, *flags):
    teacher = Config.fromfile(project / 'distil.py').model.teacher
    return call(
        'distill',
        project / 'plain.py',
        '--teacher',
        project / 'teacher.py',
        '--teacher-checkpoint',
        teacher.checkpoint,
        '--work-dir',
        project / 'run',
        *flags,
    )


def test_dry_run_writes_the_merged_config_and_stops(project):
    distill(
        project,
        '--dry-run',
        '--warmup',
        2,
        '--inherit',
        'neck',
        '--set',
        'model.logits.type=DKDLoss',
        'model.logits.beta=0.25',
        'train_cfg.max_epochs=7',
    )
    (path,) = (project / 'run').glob('*.py')
    cfg = Config.fromfile(path)
    assert path.name == 'review-kd_teacher_plain.py'
    assert not list(path.parent.glob('*/*.log'))
    assert cfg.model.logits == dict(type='DKDLoss', beta=0.25)
    assert cfg.model.inherit == ['neck']
    assert cfg.custom_hooks == [dict(type='ReviewWeightHook', warmup=2)]
    assert cfg.train_cfg.max_epochs == 7
    # so that the real run may follow in the same place
    distill(project, '--dry-run')
    assert 'logits' not in Config.fromfile(path).model


@pytest.mark.parametrize(
    'setting, message',
    [
        ('trian_cfg.max_epochs=7', '--set trian_cfg.max_epochs: the config has no '),
        ('modle.logits.type=DKDLoss', 'has no modle; near names: model'),
        ('model.lgits.type=DKDLoss', 'ReviewKD has no lgits; near names: logits'),
        ('model.logits.type=DKDLos', "'DKDLos'): is no method of distillation; near"),
        ('model.logits.type=BinaryKDLoss', 'compares sigmoid probabilities'),
        ('model.review.weihgt=2', 'unknown weihgt; near names: weight'),
        ('model.inherit=[neckk]', 'the parts of a FasterRCNN are '),
        ('work_dir.a=1', '--set work_dir.a: does not fit the config'),
    ],
)
def test_a_slip_is_named_before_anything_is_written(project, setting, message):
    line = distill(project, '--set', setting)
    assert message in line and line.count('\n') == 0
    assert not (project / 'run').exists()
