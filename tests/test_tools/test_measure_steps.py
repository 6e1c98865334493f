"""Measuring the steps of a table's rows, with a program in the benchmark's place."""

import json
import sys

from tests.support.commands import stand_in, starting
from tests.support.tables import TABLE, write_table

import pytest

# writes down how it was called; what the benchmark writes, or an error
PROGRAM = f"""#!{sys.executable}
import json, sys
given = sys.argv[1:]
with open('started.txt', 'a') as file:
    file.write(' '.join(given) + '\\n')
if 'pkd.py' in given and 'FAIL' in open('state.txt').read():
    sys.exit('a line\\nerror: no such config')
result = dict(seconds=dict(student=0.5, distilled=0.8), config=given[4])
json.dump(result, open(given[given.index('--json') + 1], 'w'))
"""


@pytest.fixture
def measure(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_table(tmp_path / 'docs' / 'results' / 'mine', TABLE)
    config = 'train_cfg = dict(max_epochs=9)\nmodel = dict('
    (tmp_path / 'alone.py').write_text(config + "type='A')")
    for name in ('kd', 'pkd'):
        teacher = "type='B', teacher=dict(checkpoint='t.pth'))"
        (tmp_path / f'{name}.py').write_text(config + teacher)
    (tmp_path / 'state.txt').write_text('')
    stand_in(PROGRAM, monkeypatch)
    return starting('measure_steps', 'mine', capsys)


def test_each_row_with_a_teacher_once(measure, tmp_path):
    error, started, output = measure('--size', '240x320')
    assert error is None
    assert [line.split()[4] for line in started] == ['kd.py', 'pkd.py']
    assert '--device cpu --repeats 9 --size 240x320' in started[0]
    assert started[0].endswith('--cfg-options randomness.deterministic=True')
    assert output == '[1/2] KD: 1.60x\n[2/2] PKD: 1.60x\n'
    steps = tmp_path / 'docs' / 'results' / 'mine' / 'steps.json'
    content = json.loads(steps.read_text())
    assert list(content) == ['kd', 'pkd']
    assert content['kd']['commit'] == ''  # the folder is no checkout
    assert measure()[:2] == (None, [])
    steps.unlink()
    error, started, _ = measure('--rows', 'pkd')
    assert error is None and len(started) == 1


def test_what_was_measured_before_an_error_is_kept(measure, tmp_path):
    (tmp_path / 'state.txt').write_text('FAIL')
    error, _, _ = measure()
    assert error == 'error: pkd: no such config'
    steps = tmp_path / 'docs' / 'results' / 'mine' / 'steps.json'
    assert list(json.loads(steps.read_text())) == ['kd']
    (tmp_path / 'state.txt').write_text('')
    error, started, _ = measure()
    assert error is None and len(started) == 1 and 'pkd.py' in started[0]
