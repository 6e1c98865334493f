"""What the runs gave, on README.md and pages of docs/."""

import runpy

from tests.support.markdown import read_table
from tests.support.paths import ROOT
from tests.support.tables import TABLE, write_record, write_steps, write_table

import pytest


@pytest.fixture
def gains():
    return runpy.run_path(str(ROOT / 'docs' / 'results' / 'gains.py'))


def test_the_pages_have_the_figures_that_are_kept(gains):
    results = gains['results'](gains['RESULTS'])
    expected = [(page, 'results', results) for page in ('README.md', 'docs/index.md')]
    ours = gains['results']({'cifar20': gains['RESULTS']['cifar20']})
    expected.append(('docs/classification.md', 'results', ours))
    expected.append(('docs/speed.md', 'faster', gains['faster'](gains['FASTER'])))
    parts = gains['parts'](ROOT / 'docs' / 'results' / 'ablation')
    expected.append(('docs/results/tables.md', 'parts', parts))
    for name, titles in gains['TASKS'].items():
        expected.append(('docs/methods.md', name, gains['report'](titles)))
    for page, name, table in expected:
        text = (ROOT / page).read_text(encoding='utf-8')
        assert f'<!-- {name} -->\n\n{table}\n\n<!-- / -->' in text


def test_results_of_review_kd(gains, tmp_path):
    content = TABLE.replace('pkd', 'review-kd')
    whole, half = (write_table(tmp_path / name, content) for name in ('whole', 'half'))
    for seed, (alone, distilled) in enumerate([(50, 51), (51, 54), (52, 54)]):
        for folder in (whole, half):
            write_record(folder, 'alone', seed, alone, teacher=None)
        write_record(whole, 'review-kd', seed, distilled)
    write_record(whole, 'teacher', 0, 60.0, teacher=None)
    write_record(half, 'review-kd', 0, 51.0)
    cells = read_table(gains['results']({str(whole): 'whole', str(half): 'half'}))
    assert cells == {
        'whole': ['60.0', '51.0', '53.0', '+2.0 ± 2.5'],
        'half': ['not run', '51.0', 'not run', 'not run'],
    }


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


def test_several_tables_together(gains, tmp_path):
    first, second = (write_table(tmp_path / name) for name in ('first', 'second'))
    titles = {str(first): 'cells', str(second): 'boards'}
    runs = [(50.0, 51.0), (51.0, 54.0), (52.0, 54.0)]
    for seed, (alone, kd) in enumerate(runs):
        for folder, higher in ((first, 0.0), (second, 1.0)):
            write_record(folder, 'alone', seed, alone, teacher=None)
            write_record(folder, 'kd', seed, kd + higher)
        write_record(first, 'pkd', seed, kd)
    cells = read_table(gains['report'](titles))
    # six differences, 1, 3, 2, 2, 4 and 3: their deviation is 1.05, t is 2.571
    assert cells['KD'][:3] == ['+2.0 ± 2.5', '+3.0 ± 2.5', '+2.5 ± 1.1']
    assert cells['PKD'][:3] == ['+2.0 ± 2.5', 'not run', 'not run']


def test_a_faster_step_is_compared_with_the_row_before_it(gains, tmp_path):
    folder = write_table(tmp_path / 'mine')
    for seed, (kd, pkd) in enumerate([(50, 51), (51, 54), (52, 54)]):
        write_record(folder, 'kd', seed, kd)
        write_record(folder, 'pkd', seed, pkd)
    assert read_table(gains['faster']({str(folder): 'mine'})) == {'PKD': ['+2.0 ± 2.5']}


def test_a_part_is_compared_with_the_row_without_it(gains, tmp_path):
    gains['PARTS'].clear()
    gains['PARTS'].update({'standard': ('kd', 'alone'), 'both': ('pkd', 'kd')})
    folder = write_table(tmp_path / 'mine')
    for seed, (kd, pkd) in enumerate([(50, 51), (51, 54), (52, 54)]):
        write_record(folder, 'kd', seed, kd)
        write_record(folder, 'pkd', seed, pkd)
    cells = read_table(gains['parts'](folder))
    assert cells == {'standard': ['not run'], 'both': ['+2.0 ± 2.5']}


def test_one_seed_has_no_interval(gains, tmp_path):
    one_seed = TABLE.replace('seeds: [0, 1, 2]', 'seeds: [0]')
    folder = write_table(tmp_path / 'mine', one_seed)
    for row, score in (('alone', 50.0), ('kd', 51.0)):
        write_record(folder, row, 0, score, teacher=None)
    cells = read_table(gains['report']({str(folder): 'cells'}))
    assert cells['KD'] == ['+1.0', 'not run', 'not run']
