"""The driver of tables, with a program that stands in for the trainings."""

import json
import os
import signal
import sys
import threading
import time

from mmreviewkd.tables import Run, read_table
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
if fail.exists() and 'at once' in fail.read_text():
    sys.exit(fail.read_text())
if Path('WAIT').exists():
    Path('WAIT').rename('WAITING')
    import time
    time.sleep(60)
logs.mkdir(parents=True)
log = [dict(loss=1.0, time=0.1, epoch=epoch, step=epoch)]
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
    before = signal.getsignal(signal.SIGTERM)
    yield starting('run_table', 'mine', capsys)
    signal.signal(signal.SIGTERM, before)


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


@pytest.mark.parametrize('when', ['', ' at once'])
def test_a_run_that_a_loss_has_stopped_is_kept(driver, tmp_path, when):
    text = f'error: loss_kd is nan in iteration 3. Training stops; a b{when}'
    (tmp_path / 'FAIL_kd_0').write_text(text)
    error, _, output = driver('--seeds', '0')
    assert error is None and text in output
    path = tmp_path / 'docs' / 'results' / 'mine' / 'kd_0.json'
    kept = json.loads(path.read_text())
    assert kept['stopped'] == text
    assert kept['validation']['epoch'] == ([] if when else [1])
    assert driver('--seeds', '0')[:2] == (None, [])


def test_killed_between_the_last_checkpoint_and_its_score(driver, tmp_path):
    driver('--seeds', '0')
    results, runs = tmp_path / 'docs/results/mine', tmp_path / 'work_dirs/tables/mine'
    (results / 'alone_0.json').unlink()
    (results / 'kd_0.json').unlink()
    log = runs / 'alone_0' / 'start_2' / 'vis_data' / 'scalars.json'
    former = log.read_text()
    log.write_text(former.replace('"step": 2', '"step": 1'))
    error, started, output = driver('--seeds', '0')
    message = 'alone, seed 0: work_dirs/tables/mine/alone_0 has no score of its last '
    assert error.startswith(f'error: 1 runs failed, the last: {message}')
    # the others go on
    assert '[1/2] kd, seed 0' in output and not started
    assert not (results / 'alone_0.json').exists() and (results / 'kd_0.json').exists()


def test_what_another_program_keeps_meanwhile_is_left_alone(driver, monkeypatch):
    look, looks = Run.look, []

    def later(run):
        looks.append(run.name)
        # the second look at a run is that before it is started
        if looks.count('alone, seed 0') == 2 and 'other' not in looks:
            looks.append('other')
            assert run.record is None
            driver('--rows', 'alone', '--seeds', '0')
        look(run)

    monkeypatch.setattr(Run, 'look', later)
    error, started, _ = driver('--seeds', '0')
    assert error is None and [line.split()[0] for line in started] == [
        'alone_0',
        'kd_0',
    ]


def test_a_broken_note_is_one_line(driver, tmp_path):
    note = tmp_path / 'work_dirs/tables/mine/kd_0/notes.json'
    note.parent.mkdir(parents=True)
    note.write_text('{"config_hash": "a')
    error, started, _ = driver('--seeds', '0')
    assert not started and error == (
        'error: work_dirs/tables/mine/kd_0/notes.json is not what run_table.py notes '
        'of a run; move work_dirs/tables/mine/kd_0 away to run it again'
    )
    assert note.read_text() == '{"config_hash": "a'


def test_ended_from_outside_it_ends_the_training_and_notes_its_cost(driver, tmp_path):
    driver('--rows', 'alone', '--seeds', '0')
    (tmp_path / 'WAIT').write_text('')

    def end():
        for _ in range(2000):  # 20 s
            if (tmp_path / 'WAITING').exists():
                os.kill(os.getpid(), signal.SIGTERM)
                return
            time.sleep(0.01)

    thread = threading.Thread(target=end, daemon=True)
    thread.start()
    begun = time.time()
    error, started, _ = driver('--rows', 'kd', '--seeds', '0')
    thread.join(30)
    assert error == 130 and len(started) == 1
    assert time.time() - begun < 30  # the training would have slept on
    notes = json.loads((tmp_path / 'work_dirs/tables/mine/kd_0/notes.json').read_text())
    assert notes['seconds'] > 0 and notes['memory_mb'] > 1


def test_a_training_that_has_ended_by_itself_is_stopped_as_well(driver, tmp_path):
    """As two of them are that one Ctrl-C reaches."""
    driver('--rows', 'alone', '--seeds', '0')
    table = read_table(str(tmp_path / 'docs/results/mine'))
    run = Run(table, table.rows[1], 0)
    run.start()
    os.waitid(os.P_PID, run._process.pid, os.WEXITED | os.WNOWAIT)
    run.stop()
    notes = json.loads((tmp_path / run.work_dir / 'notes.json').read_text())
    assert notes['seconds'] > 0 and run.trained


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
