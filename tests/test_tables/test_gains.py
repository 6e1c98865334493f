"""The tables of docs/methods.md, what each method gave and cost."""

import runpy

from tests.support.markdown import read_table
from tests.support.paths import ROOT
from tests.support.tables import TABLE, write_record, write_steps, write_table

import pytest


@pytest.fixture
def gains():
    return runpy.run_path(str(ROOT / 'docs' / 'results' / 'gains.py'))


def test_the_page_has_the_figures_that_are_kept(gains):
    page = (ROOT / 'docs' / 'methods.md').read_text(encoding='utf-8')
    for name, titles in gains['TASKS'].items():
        table = gains['report'](titles)
        assert f'<!-- {name} -->\n\n{table}\n\n<!-- / -->' in page


def test_gain_and_cost_of_each_row(gains, tmp_path):
    folder = write_table(tmp_path / 'mine')
    for seed, (alone, kd) in enumerate([(50.0, 51.0), (51.0, 54.0), (52.0, 54.0)]):
        write_record(folder, 'alone', seed, alone, teacher=None)
        write_record(folder, 'kd', seed, kd)
    write_record(folder, 'pkd', 0, 60.0)
    write_steps(folder, kd=(3.0, 1.25))
    cells = read_table(gains['report']({str(folder): 'cells'}))
    assert cells == {
        'KD': ['+2.0 ± 2.5', '3.00', '1.25'],
        # two seeds of three are missing
        'PKD': ['not run', 'not run', 'not run'],
    }


def test_one_seed_has_no_interval(gains, tmp_path):
    one_seed = TABLE.replace('seeds: [0, 1, 2]', 'seeds: [0]')
    folder = write_table(tmp_path / 'mine', one_seed)
    for row, score in (('alone', 50.0), ('kd', 51.0)):
        write_record(folder, row, 0, score, teacher=None)
    cells = read_table(gains['report']({str(folder): 'cells'}))
    assert cells['KD'] == ['+1.0', 'not run', 'not run']
