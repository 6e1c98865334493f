"""Trained students of a table, kept beside its figures and tested anew."""

import hashlib
import json
import runpy
import subprocess
import sys

from tests.support.commands import stand_in
from tests.support.paths import ROOT
from tests.support.tables import write_record, write_table

import pytest

# in the place of mmreviewkd test: AP is what the checkpoint says
PROGRAM = f"""#!{sys.executable}
import json, pathlib, sys
given = sys.argv[1:]
folder = pathlib.Path(given[given.index('--work-dir') + 1]) / 'now'
folder.mkdir()
ap = pathlib.Path(given[4]).read_text()
if ap == 'broken':
    sys.exit('error: no data')
(folder / 'now.json').write_text(json.dumps({{'coco/bbox_mAP': float(ap)}}))
"""


@pytest.fixture
def table(tmp_path, monkeypatch):
    """Two students of a table, and what calls the script with arguments."""
    monkeypatch.chdir(tmp_path)
    folder = write_table(tmp_path / 'docs' / 'results' / 'mine')
    (tmp_path / 'work').mkdir()
    for row, score in (('alone', 50.0), ('kd', 54.0)):
        path = tmp_path / 'work' / f'{row}_0.pth'
        path.write_text(str(score / 100))
        hashed = hashlib.sha256(path.read_bytes()).hexdigest()
        student = dict(file=str(path), sha256=hashed)
        write_record(folder, row, 0, score, student=student)
    stand_in(PROGRAM, monkeypatch)

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', ['students.py', 'mine', *arguments])
        try:
            runpy.run_path(str(ROOT / 'docs/results/students.py'), run_name='__main__')
        except SystemExit as error:
            return error.code
        return None

    return folder, run


def test_copies_with_checksums_and_the_same_scores(table, capsys):
    folder, run = table
    assert run() is None
    done = subprocess.run(
        ['sha256sum', '-c', 'SHA256SUMS'], cwd=folder / 'students', capture_output=True
    )
    assert done.returncode == 0 and done.stdout.count(b': OK') == 2
    # another seed, without those that are there already
    listed = (folder / 'students' / 'SHA256SUMS').read_text()
    assert run('--seeds', '1') is None
    assert (folder / 'students' / 'SHA256SUMS').read_text() == listed
    capsys.readouterr()
    assert run('--check') is None
    assert capsys.readouterr().out == (
        'student alone, seed 0: kept 50.00, now 50.00\n'
        'KD, seed 0: kept 54.00, now 54.00\n'
    )


def test_students_that_are_not_there_are_named(table, tmp_path, capsys):
    _, run = table
    (tmp_path / 'work' / 'kd_0.pth').unlink()
    assert run() is None
    assert capsys.readouterr().out == (
        '1 students in docs/results/mine/students\n'
        '1 more were trained and are not here: kd_0.pth\n'
    )
    # copied before, it is here
    (tmp_path / 'work' / 'alone_0.pth').unlink()
    run()
    assert 'not here: kd_0.pth' in capsys.readouterr().out


def test_another_score_another_file_and_no_data(table, tmp_path):
    folder, run = table
    missing = 'error: docs/results/mine/students has no student of these runs'
    assert run('--check') == missing
    run()
    write_record(folder, 'kd', 0, 53.0, student=_student(tmp_path / 'work/kd_0.pth'))
    assert run('--check') == 'error: other scores than those kept: kd_0.pth'
    (folder / 'students' / 'kd_0.pth').write_text('0.6')
    assert 'kd_0.pth is not the one of mine' in run('--check')
    (tmp_path / 'work' / 'alone_0.pth').write_text('broken')
    assert 'alone_0.pth is not the one of mine' in run()
    student = _student(tmp_path / 'work' / 'alone_0.pth')
    write_record(folder, 'alone', 0, 50.0, student=student)
    run()
    assert run('--check').endswith('alone_0.pth: no data')


@pytest.mark.parametrize('name', ['cifar20', 'ablation', 'deeppcb-faster-rcnn'])
def test_the_weights_that_are_kept_are_those_of_the_runs(name):
    results = ROOT / 'docs/results'
    if not (results / 'cifar20/teacher.pth').is_file():
        pytest.skip('an sdist has no weights')
    folder = results / name
    kept = {path.name: _hash(path) for path in folder.glob('students/*.pth')}
    lines = (folder / 'students' / 'SHA256SUMS').read_text().splitlines()
    assert {line[66:]: line[:64] for line in lines} == kept
    records = {
        path.stem: json.loads(path.read_text()) for path in folder.glob('*_?.json')
    }
    for student, hashed in kept.items():
        assert records[student[:-4]]['student']['sha256'] == hashed
    if name != 'ablation':  # its teacher is that of cifar20
        teachers = {
            run['teacher']['sha256'] for run in records.values() if run['teacher']
        }
        assert _hash(folder / 'teacher.pth') in teachers


def _hash(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _student(path):
    return dict(file=str(path), sha256=_hash(path))
