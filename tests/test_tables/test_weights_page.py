"""What the weights gave on all tasks, on docs/weights.md."""

import runpy

from mmreviewkd.tables.markdown import markdown_table
from tests.support.paths import ROOT
from tests.support.tables import TABLE, write_record, write_table

import pytest

RESULTS = ROOT / 'docs' / 'results'


@pytest.fixture
def weights():
    return runpy.run_path(str(RESULTS / 'weights.py'))


def write_curve(folder):
    """Weights of 0.5 and 2 of two seeds, and 'auto' of the second one alone."""
    text = TABLE.replace('config: kd.py', 'config: kd.py, weight: 0.5, seeds: [0, 1]')
    text = text.replace('config: pkd.py', 'config: pkd.py, weight: 2, seeds: [0]')
    text += '  auto: { title: "\'auto\'", config: auto.py, seeds: [1] }\n'
    folder = write_table(folder, text)
    for seed, score in enumerate((50.0, 51.0, 52.0)):
        write_record(folder, 'alone', seed, score, teacher=None)
    for seed, score in enumerate((52.0, 52.5)):
        write_record(folder, 'kd', seed, score)
    write_record(folder, 'pkd', 0, 51.96)
    return folder


def test_the_page_has_the_figures_that_are_kept(weights, tmp_path):
    page = (ROOT / 'docs' / 'weights.md').read_text(encoding='utf-8')
    for name, part in (
        ('curves', weights['to_published']),
        ('auto', weights['auto']),
    ):
        lines = [{'': task.title, **part(task)} for task in weights['TASKS']]
        assert f'<!-- {name} -->\n\n{markdown_table(lines)}\n\n<!-- / -->' in page
    weights['plot'](weights['TASKS'], str(tmp_path / 'weights.svg'))
    # text stays text; the lines are drawn otherwise by each version of matplotlib
    for file in (tmp_path, RESULTS):
        drawn = (file / 'weights.svg').read_text(encoding='utf-8')
        assert all(task.title in drawn for task in weights['TASKS'])


def test_the_curve_is_of_the_seeds_that_all_weights_have(weights, tmp_path):
    folder = write_curve(tmp_path / 'mine')
    task = weights['Task']('mine', str(folder), 0.5)
    # of seed 0; 51.96 - 52 is rounded to nothing
    assert weights['to_published'](task) == {'alone': '-2.0', '4 times': '+0.0'}


def test_auto_beside_the_best_and_the_published_weight(weights, tmp_path):
    folder = write_curve(tmp_path / 'mine')
    task = weights['Task']('mine', str(folder), 0.5)
    best, published = 'to the best (95 %)', 'to the published (95 %)'
    assert weights['auto'](task) == {best: 'not run', published: 'not run'}
    write_record(folder, 'auto', 1, 53.0)
    # on seed 1, which has not chosen 0.5
    assert weights['auto'](task) == {best: '+0.5', published: '+0.5'}
    # the published weight, 2, was not run on it
    assert weights['auto'](task._replace(published=2)) == {
        best: '+0.5',
        published: 'not run',
    }
    text = TABLE.replace('  kd:', '  published:').replace('  pkd:', '  auto:')
    other = write_table(tmp_path / 'other', text)
    for seed in range(3):
        write_record(other, 'published', seed, 50.0)
        write_record(other, 'auto', seed, 52.0)
    beside = task._replace(beside=str(other))
    assert weights['auto'](beside) == {best: '+0.5', published: '+2.0 ± 0.0'}
