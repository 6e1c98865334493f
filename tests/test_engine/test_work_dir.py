"""One run at a time in a work dir, and nothing left of killed ones."""

import errno
import os
import signal
import subprocess
import sys
import time

from mmreviewkd.engine.work_dir import holds_run, locked_work_dir
from mmreviewkd.errors import UserInputError
from tests.support.commands import call, process
from tests.support.paths import ROOT

import pytest
from filelock import FileLock
from mmengine.config import Config


@pytest.fixture(autouse=True)
def no_patience(monkeypatch):
    monkeypatch.setattr('mmreviewkd.engine.work_dir.PATIENCE', 0)


@pytest.fixture
def cfg(tmp_path):
    return Config(dict(work_dir=str(tmp_path), launcher='none'))


def refusal(folder):
    return (
        f'another run is going on in work dir {folder}: give this one '
        'another --work-dir, or end the other first'
    )


def test_a_second_run_is_refused(cfg, tmp_path):
    with FileLock(tmp_path / 'train.lock'):  # as another process has it
        with pytest.raises(UserInputError) as error, locked_work_dir(cfg):
            pass
        assert str(error.value) == refusal(tmp_path)
    with locked_work_dir(cfg):
        with locked_work_dir(cfg):  # the same run again: distill.py, train()
            pass
        with pytest.raises(TimeoutError):
            FileLock(tmp_path / 'train.lock').acquire(timeout=0)
    FileLock(tmp_path / 'train.lock').acquire(timeout=0).lock.release()


def test_the_other_processes_of_a_run_take_none(cfg, tmp_path, monkeypatch):
    cfg.launcher = 'pytorch'
    monkeypatch.setenv('RANK', '1')
    with locked_work_dir(cfg):
        assert not os.listdir(tmp_path)


def test_what_killed_runs_have_left_is_removed(cfg, tmp_path):
    part = tmp_path / 'epoch_2.pth.0123abcd.part'
    part.write_text('')
    with FileLock(tmp_path / 'train.lock'):  # somebody is writing it
        with pytest.raises(UserInputError), locked_work_dir(cfg):
            pass
    assert part.exists()
    with locked_work_dir(cfg):
        assert not part.exists()


def test_a_file_system_without_locks(cfg, monkeypatch):
    said = []
    monkeypatch.setattr(
        'mmreviewkd.engine.work_dir.print_log', lambda message, *_: said.append(message)
    )

    def none(self, *args, **kwargs):
        raise OSError(errno.ENOLCK, 'No locks available')

    monkeypatch.setattr(FileLock, 'acquire', none)
    with locked_work_dir(cfg):
        pass
    assert 'cannot be locked ([Errno 37] No locks available)' in said[0]


@pytest.mark.parametrize(
    'left, expected',
    [
        ('last_checkpoint', True),
        ('epoch_3.pth', True),
        ('iter_200.pth', True),
        ('best_coco_bbox_mAP_epoch_3.pth', True),
        ('20260101_120000/vis_data/scalars.json', True),
        # a start that failed before its first step, and what the user put there
        ('20260101_120000/20260101_120000.log', False),
        ('20260101_120000/20260101_120000.json', False),
        ('teacher.pth', False),
        ('train.lock', False),
        ('config.py', False),
    ],
)
def test_what_is_a_run(tmp_path, left, expected):
    path = tmp_path / 'a [b]' / left
    path.parent.mkdir(parents=True)
    path.write_text('')
    assert holds_run(str(tmp_path / 'a [b]')) == expected


@pytest.mark.parametrize('tool', ['train', 'distill'])
def test_tools_touch_nothing_of_a_run_that_is_going_on(project, tool):
    work_dir = project / 'run'
    work_dir.mkdir()
    (work_dir / 'epoch_1.pth.0123abcd.part').write_text('')
    teacher = Config.fromfile(project / 'distil.py').model.teacher
    arguments = dict(
        train=[project / 'distil.py'],
        distill=[
            project / 'plain.py',
            '--teacher',
            project / 'teacher.py',
            '--teacher-checkpoint',
            teacher.checkpoint,
        ],
    )[tool]
    with FileLock(work_dir / 'train.lock'):
        before = sorted(os.listdir(work_dir))
        for resume in ([], ['--resume']):
            assert (
                call(tool, *arguments, *resume, '--work-dir', work_dir)
                == f'error: {refusal(work_dir)}'
            )
        assert sorted(os.listdir(work_dir)) == before


def test_distill_keeps_a_run_that_was_killed_early(project):
    work_dir = project / 'run'
    log = work_dir / '20260101_120000' / 'vis_data' / 'scalars.json'
    log.parent.mkdir(parents=True)
    log.write_text('{}')
    assert 'holds a run already' in call(
        'distill',
        project / 'plain.py',
        '--teacher',
        project / 'teacher.py',
        '--teacher-checkpoint',
        'none.pth',
        '--work-dir',
        work_dir,
    )
    assert not list(work_dir.glob('*.py'))


@pytest.mark.slow
def test_two_runs_in_one_folder_and_ctrl_c(project):
    command = [
        ROOT / 'tools' / 'train.py',
        'distil.py',
        '--work-dir',
        'run',
        '--cfg-options',
        'train_dataloader.num_workers=1',
        'train_cfg.max_epochs=2',
    ]
    with open(project / 'output', 'w') as output:
        first = subprocess.Popen(
            [sys.executable, *map(str, command[:-1]), 'train_cfg.max_epochs=999'],
            cwd=project,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env=dict(os.environ, PYTHONPATH=str(ROOT), PYTHONWARNINGS='ignore'),
        )
    checkpoint = project / 'run' / 'epoch_1.pth'
    while not checkpoint.exists() and first.poll() is None:
        time.sleep(0.1)
    second = process(*command, cwd=project)
    assert second.returncode == 1
    assert second.stdout.splitlines()[-1] == f'error: {refusal("run")}'
    # Ctrl-C reaches the workers, too
    os.killpg(first.pid, signal.SIGINT)
    assert first.wait(60) == 130
    output = (project / 'output').read_text()
    assert output.splitlines()[-1] == (
        'interrupted; the same command with --resume goes on from the last checkpoint'
    )
    assert 'Traceback' not in output
    (log,) = (project / 'run').glob('*/*.log')  # the second has left none
    assert (
        log.read_text()
        .rstrip()
        .endswith(
            'KeyboardInterrupt: the same command with --resume goes on from the '
            'last checkpoint'
        )
    )
    done = len(list((project / 'run').glob('epoch_*.pth')))
    resumed = process(
        *command[:-1], f'train_cfg.max_epochs={done + 1}', '--resume', cwd=project
    )
    assert resumed.returncode == 0, resumed.stdout[-3000:]
    assert f'resumed epoch: {done}' in resumed.stdout
