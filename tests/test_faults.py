"""What may happen to a run, and what is left: see docs/robustness.md."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from mmreviewkd.compat import load_from_local
from tests.support.commands import call, process
from tests.support.paths import ROOT

import pytest
import torch
from mmengine.config import Config

TRAIN = [ROOT / 'tools' / 'train.py', 'distil.py', '--work-dir', 'run']

# the program after which the run's own follows, in the same process
SABOTAGE = """
import os, runpy, sys
import mmreviewkd
{code}
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name='__main__')
"""


def sabotaged(project, code, *args):
    (project / 'sabotage.py').write_text(SABOTAGE.format(code=code))
    return process('sabotage.py', *TRAIN, *args, cwd=project)


def epochs(project):
    """Epochs in the logs of all starts, which must be readable to the end."""
    return [
        json.loads(line)['epoch']
        for path in sorted((project / 'run').glob('*/vis_data/scalars.json'))
        for line in path.read_text().splitlines()
        if 'loss_review' in line
    ]


def whole(project, epoch):
    return load_from_local(str(project / 'run' / f'epoch_{epoch}.pth'))


class Exploit:
    def __reduce__(self):
        return os.system, ('touch exploited',)


def test_teacher_file_with_code_in_it(project, monkeypatch):
    monkeypatch.chdir(project)
    torch.save(dict(state_dict=Exploit()), project / 'code.pth')
    error = call(
        'train', 'distil.py', '--cfg-options', 'model.teacher.checkpoint=code.pth'
    )
    assert error.startswith('error: checkpoint code.pth was not loaded: it holds "')
    assert 'system"' in error
    assert not (project / 'exploited').exists()
    assert not list(project.glob('**/epoch_*.pth'))


def test_last_batch_smaller(project):
    assert (
        call(
            'train',
            project / 'distil.py',
            '--work-dir',
            project / 'run',
            '--cfg-options',
            'train_dataloader.batch_size=3',
            'train_cfg.max_epochs=1',
        )
        is None
    )
    assert whole(project, 1)['meta']['iter'] == 3


@pytest.mark.slow
def test_resume_with_other_settings_warns_with_both(project):
    strides = 'model.review.strides=[{}]'.format
    train = [ROOT / 'tools' / 'train.py', 'distil.py', '--work-dir', 'run']
    first = process(
        *train, '--cfg-options', 'train_cfg.max_epochs=1', strides('4,8'), cwd=project
    )
    assert first.returncode == 0, first.stdout[-3000:]
    resumed = process(
        *train,
        '--resume',
        '--cfg-options',
        strides('8,16'),
        'model.review.weight=3',
        cwd=project,
    )
    assert resumed.returncode == 0, resumed.stdout[-3000:]
    assert (
        'WARNING - The review of this checkpoint was trained with another '
        "levels ['stride 4', 'stride 8'] (now: ['stride 8', 'stride 16']), "
        'weight 1.0 (now: 3.0)' in ' '.join(resumed.stdout.split())
    )
    # another number of levels is another number of parameters
    refused = call(
        'train',
        project / 'distil.py',
        '--work-dir',
        project / 'run',
        '--resume',
        '--cfg-options',
        strides('8'),
    )
    assert refused.startswith(
        'error: cannot resume: the optimizer of the checkpoint is for other parameters'
    )


@pytest.mark.slow
def test_resume_takes_no_torn_file(project):
    assert call('train', project / 'distil.py', '--work-dir', project / 'run') is None
    torn = project / 'run' / 'epoch_2.pth'
    torn.write_bytes(torn.read_bytes()[:5000])
    # another process, since the logger of this one has its file already
    result = process(*TRAIN, '--resume', cwd=project)
    assert result.returncode == 0, result.stdout[-3000:]
    assert 'epoch_2.pth is missing or not whole; resuming from' in result.stdout
    assert 'resumed epoch: 1' in result.stdout
    assert whole(project, 2)['meta']['epoch'] == 2


def test_work_dir_that_cannot_be_written(project):
    blocked = project / 'file'
    blocked.write_text('')
    error = call('train', project / 'distil.py', '--work-dir', blocked / 'run')
    assert error.startswith(f'error: cannot write to work dir {blocked}/run: ')


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
def test_gpus_asked_for_and_absent(project):
    assert 'sees no GPU here' in call(
        'train',
        project / 'distil.py',
        '--work-dir',
        project / 'run',
        '--launcher',
        'pytorch',
    )


def test_misspelt_keys(project):
    for option, message in (
        ('model.review.wieght=1', 'unknown wieght'),
        ('model.teacher.ckpt=x', 'unknown ckpt'),
    ):
        error = call(
            'train',
            project / 'distil.py',
            '--work-dir',
            project / 'run',
            '--cfg-options',
            option,
        )
        assert error.startswith('error: ') and message in error


@pytest.mark.slow
def test_killed_while_a_checkpoint_is_written(project):
    killed = sabotaged(
        project,
        'replace = os.replace\n'
        'def die(source, target):\n'
        '    if str(target).endswith("epoch_2.pth"): os.kill(os.getpid(), 9)\n'
        '    replace(source, target)\n'
        'os.replace = die',
    )
    assert killed.returncode == -9
    left, part = sorted(p.name for p in (project / 'run').glob('epoch*'))
    assert left == 'epoch_1.pth'
    assert re.fullmatch(r'epoch_2\.pth\.[0-9a-f]{8}\.part', part)
    assert whole(project, 1)['meta']['epoch'] == 1
    resumed = process(*TRAIN, '--resume', cwd=project)
    assert resumed.returncode == 0, resumed.stdout[-3000:]
    assert 'resumed epoch: 1' in resumed.stdout
    assert sorted(p.name for p in (project / 'run').glob('epoch*')) == [
        'epoch_1.pth',
        'epoch_2.pth',
    ]
    assert set(epochs(project)) == {1, 2}


@pytest.mark.slow
def test_disk_full_while_saving(project):
    full = sabotaged(
        project,
        'import errno\n'
        'saved = []\n'
        'def fsync(fd):\n'
        '    saved.append(fd)\n'
        '    if len(saved) > 1:\n'
        '        raise OSError(errno.ENOSPC, "No space left on device")\n'
        'os.fsync = fsync',
    )
    assert full.returncode == 1
    assert full.stdout.splitlines()[-1] == (
        'error: [Errno 28] No space left on device: '
        f"'{project}/run/epoch_2.pth'; whatever checkpoint is there is whole"
    )
    assert whole(project, 1)['meta']['epoch'] == 1
    assert [p.name for p in (project / 'run').glob('epoch*')] == ['epoch_1.pth']
    resumed = process(*TRAIN, '--resume', cwd=project)
    assert resumed.returncode == 0 and 'resumed epoch: 1' in resumed.stdout


@pytest.mark.slow
def test_killed_before_the_first_checkpoint(project):
    killed = sabotaged(
        project,
        'from mmengine.hooks import IterTimerHook\n'
        'def die(self, runner, *args, **kwargs):\n'
        '    if runner.iter == 1: os.kill(os.getpid(), 9)\n'
        'IterTimerHook.before_train_iter = die',
    )
    assert killed.returncode == -9
    resumed = process(*TRAIN, '--resume', cwd=project)
    assert resumed.returncode == 0, resumed.stdout[-3000:]
    assert (
        'has no whole checkpoint to resume from; the run starts anew' in resumed.stdout
    )


OTHER = os.environ.get('OTHER_PYTHON')


@pytest.mark.slow
@pytest.mark.skipif(not OTHER, reason='OTHER_PYTHON is not set')
@pytest.mark.parametrize('back', [False, True])
def test_resume_on_another_torch(project, back):
    """``OTHER_PYTHON``: an interpreter with another torch, 2.1 for one."""
    first, second = (OTHER, sys.executable) if back else (sys.executable, OTHER)
    env = dict(os.environ, PYTHONPATH=str(ROOT), PYTHONWARNINGS='ignore')
    for python, args in (
        (first, ['--cfg-options', 'train_cfg.max_epochs=1']),
        (second, ['--resume']),
    ):
        done = subprocess.run(
            [python, *map(str, TRAIN), *args],
            cwd=project,
            env=env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert done.returncode == 0, done.stdout[-3000:]
    assert 'resumed epoch: 1' in done.stdout
    state = whole(project, 2)
    assert len(state['optimizer']['state']) == len(
        [k for g in state['optimizer']['param_groups'] for k in g['params']]
    )
    assert any(k.startswith('review.') for k in state['state_dict'])
    assert Config.fromfile(Path(project) / 'distil.py')
