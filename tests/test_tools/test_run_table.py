"""The driver of tables, with a program that stands in for the trainings."""

import json
import sys

from tests.support.commands import stand_in, starting
from tests.support.tables import write_table

import pytest
import torch

# Writes what a training of two epochs leaves, and what it was started with. A run of
# which there is a file FAIL_ROW stops: for good, or after one epoch.
PROGRAM = f"""#!{sys.executable}
import json, os, shutil, sys
from pathlib import Path
work_dir = Path(sys.argv[sys.argv.index('--work-dir') + 1])
with open('started.txt', 'a') as file:
    print(work_dir.name, *sys.argv[4:], os.environ['OMP_NUM_THREADS'], file=file)
fail = Path('FAIL_' + work_dir.name)
epoch = 1 if fail.exists() else 2
assert (work_dir / 'notes.json').exists()  # before anything is trained
logs = work_dir / f'start_{{epoch}}' / 'vis_data'
logs.mkdir(parents=True)
log = [dict(loss=1.0, time=0.1, epoch=1, step=1)]
log.append({{'accuracy/top1': 10.0 * epoch, 'time': 1.0, 'step': epoch}})
(logs / 'scalars.json').write_text('\\n'.join(map(json.dumps, log)))
shutil.copy('weights.pth', work_dir / f'epoch_{{epoch}}.pth')
(work_dir / 'last_checkpoint').write_text(str(work_dir / f'epoch_{{epoch}}.pth'))
if fail.exists():
    sys.exit(fail.read_text())
"""
TABLE = """
title: a table
metrics: {top-1: accuracy/top1}
seeds: [0, 1]
options: [train_cfg.max_epochs=2]
first:
  teacher: {title: teacher, config: alone.py, work_dir: work_dirs/teacher}
rows:
  alone: {title: student alone, config: alone.py}
  kd: {title: KD, config: kd.py}
"""


@pytest.fixture
def driver(tmp_path, monkeypatch, capsys):
    """Runs the driver; its error or None, the runs that were started, its output."""
    monkeypatch.chdir(tmp_path)
    write_table(tmp_path / 'docs' / 'results' / 'mine', TABLE)
    config = "train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=9)\nmodel = dict("
    (tmp_path / 'alone.py').write_text(config + "type='A')")
    checkpoint = 'work_dirs/teacher/epoch_2.pth'
    (tmp_path / 'kd.py').write_text(
        f"{config}type='B', teacher=dict(checkpoint='{checkpoint}'))"
    )
    state = {'conv.weight': torch.ones(2), 'kd.fit': torch.ones(3)}
    state['kd._extra_state'] = torch.zeros(1, dtype=torch.uint8)
    torch.save(dict(state_dict=state, meta={}), 'weights.pth')
    stand_in(PROGRAM, monkeypatch)
    return starting('run_table', 'mine', capsys)


def test_teacher_first_then_seed_by_seed_and_once_alone(driver, tmp_path):
    error, started, output = driver()
    assert error is None
    assert [line.split()[0] for line in started] == [
        'teacher',
        'alone_0',
        'kd_0',
        'alone_1',
        'kd_1',
    ]
    options = 'default_hooks.checkpoint.max_keep_ckpts=1 train_cfg.max_epochs=2'
    given = f'kd.py --work-dir work_dirs/tables/mine/kd_1 --cfg-options {options}'
    assert started[-1] == f'kd_1 {given} randomness.seed=1 1'
    assert '[4/4] kd, seed 1: top-1 20.00, ' in output
    results = tmp_path / 'docs' / 'results' / 'mine'
    kept = json.loads((results / 'kd_1.json').read_text())
    assert kept['command'] == f'mmreviewkd train {given} randomness.seed=1'
    assert kept['validation'] == {'epoch': [2], 'accuracy/top1': [20.0]}
    assert kept['memory_mb'] > 1 and kept['versions']['torch'] == torch.__version__
    assert kept['teacher']['file'] == 'work_dirs/teacher/epoch_2.pth'
    exported = torch.load(tmp_path / kept['student']['file'])
    assert list(exported['state_dict']) == ['conv.weight']
    assert json.loads((results / 'alone_0.json').read_text())['teacher'] is None
    # what is kept is not run again
    assert driver()[:2] == (None, [])
    # nor what was trained, and not kept
    (results / 'kd_0.json').unlink()
    error, started, output = driver('--rows', 'kd', '--seeds', '0')
    assert error is None and started == [] and '[1/1] kd, seed 0' in output


def test_a_row_with_seeds_of_its_own(driver, tmp_path):
    path = tmp_path / 'docs' / 'results' / 'mine' / 'table.yml'
    text = TABLE.replace('config: kd.py', 'config: kd.py, seeds: [1]')
    path.write_text(text)
    error, started, _ = driver()
    assert error is None
    assert [line.split()[0] for line in started[1:]] == ['alone_0', 'alone_1', 'kd_1']


def test_goes_on_with_a_run_that_was_broken_off(driver, tmp_path):
    (tmp_path / 'FAIL_alone_0').write_text('killed')
    error, started, output = driver('--jobs', '2', '--seeds', '0')
    message = 'alone, seed 0: exit code 1, killed (work_dirs/tables/mine/alone_0/'
    assert error.startswith(f'error: 1 runs failed, the last: {message}')
    assert len(started) == 3 and f'error: {message}' in output
    results = tmp_path / 'docs' / 'results' / 'mine'
    assert not (results / 'alone_0.json').exists() and (results / 'kd_0.json').exists()
    (tmp_path / 'FAIL_alone_0').unlink()
    error, (line,), _ = driver('--seeds', '0')
    assert error is None and line.endswith('randomness.seed=0 --resume 1')
    assert json.loads((results / 'alone_0.json').read_text())['validation'] == {
        'epoch': [1, 2],
        'accuracy/top1': [10.0, 20.0],
    }


def test_a_run_that_a_loss_has_stopped_is_kept(driver, tmp_path):
    text = 'error: loss_kd is nan in iteration 3; not finite: x. Training stops; a b'
    (tmp_path / 'FAIL_kd_0').write_text(text)
    error, _, output = driver('--seeds', '0')
    assert error is None and text in output
    path = tmp_path / 'docs' / 'results' / 'mine' / 'kd_0.json'
    assert json.loads(path.read_text())['stopped'] == text
    assert driver('--seeds', '0')[:2] == (None, [])


def test_without_a_teacher_nothing_is_trained(driver, tmp_path):
    (tmp_path / 'FAIL_teacher').write_text('killed')
    error, started, _ = driver()
    assert error == 'error: without teacher nothing else is trained'
    assert len(started) == 1


def test_runs_of_another_config_are_not_taken(driver, tmp_path):
    driver('--seeds', '0')
    text = (tmp_path / 'kd.py').read_text()
    (tmp_path / 'kd.py').write_text(text.replace("'B'", "'C'"))
    error, started, _ = driver()
    assert 'kd_0 is of another kd.py or other options than those of now' in error
    assert not started and '\n' not in error


def test_data_are_linked(driver, tmp_path):
    (tmp_path / 'elsewhere' / 'cbc').mkdir(parents=True)
    (tmp_path / 'data' / 'kept').mkdir(parents=True)
    driver('--data', 'elsewhere', '--rows', 'alone', '--seeds', '0')
    assert (tmp_path / 'data' / 'cbc').samefile(tmp_path / 'elsewhere' / 'cbc')
    error, _, _ = driver('--data', 'nowhere')
    assert error == 'error: --data nowhere: no such folder'
    assert driver('--jobs', '0')[0] == 'error: --jobs 0: must be at least 1'
    assert "has no row 'kdd'; near names: kd" in driver('--rows', 'kdd')[0]
