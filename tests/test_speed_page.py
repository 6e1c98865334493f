"""docs/speed.md: its table and plot are those of the measured files."""

import runpy
import subprocess

from mmreviewkd.tables.speed import read_results
from tests.support.markdown import read_table
from tests.support.paths import ROOT

import pytest

FOLDER = ROOT / 'docs' / 'results' / 'speed'


@pytest.fixture(scope='module')
def tables():
    return runpy.run_path(str(FOLDER / 'tables.py'))


@pytest.fixture(scope='module')
def measured(tmp_path_factory):
    """Arguments that measure.sh gives the interpreter, by the name of the result."""
    folder = tmp_path_factory.mktemp('measure')
    stub = folder / 'python'
    stub.write_text(f'#!/bin/sh\necho "$OMP_NUM_THREADS $*" >> {folder}/calls\n')
    stub.chmod(0o755)
    done = subprocess.run(
        ['bash', str(FOLDER / 'measure.sh')],
        env=dict(PATH='/usr/bin:/bin', PYTHON=str(stub)),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    calls = (folder / 'calls').read_text().splitlines()
    return {call.rpartition('/')[2].removesuffix('.json'): call for call in calls}


def result(settings, scale=1.0):
    """A result with the figures of both kinds of benchmarks."""
    names = ('textbook', 'convolutions', 'mmreviewkd', 'compiled')
    names += ('student', 'teacher', 'distilled')
    figures = {name: scale * (place + 1) for place, name in enumerate(names)}
    return dict(
        settings={'size': '480x640', 'batch': 1, 'levels': ['x'] * 5, **settings},
        seconds=figures,
        peak_bytes={n: f for n, f in figures.items() if n != 'teacher'},
        images_per_second={
            'per batch': 76409.0,
            'per image, 0 workers': 9413.0,
            'per image, 2 workers': 13233.0,
        },
    )


def test_all_that_is_shown_is_measured(tables, measured):
    for name, _ in tables['ROWS'].values():
        known = [threads for threads in (1, 2) if f'{name}_{threads}' in measured]
        assert known == ([2] if 'compiled' in name or name == 'loading' else [1, 2])
        for threads in known:
            call = measured[f'{name}_{threads}']
            kind = name.partition('_')[0]
            assert call.startswith(f'{threads} -m mmreviewkd benchmark {kind} ')
    assert len([name for name in measured if name.startswith('levels_')]) == 5
    assert 'model.strides=[8,16,32,64]' in measured['levels_4']


def test_the_page_shows_the_files(tables):
    page = (ROOT / 'docs' / 'speed.md').read_text()
    table = tables['table'](read_results(FOLDER))
    assert f'<!-- speed -->\n\n{table}\n\n<!-- / -->' in page


def test_the_table(tables):
    assert tables['MISSING'] in tables['table']({})
    results = {
        f'{name}_{threads}': result({})
        for name, _ in tables['ROWS'].values()
        for threads in (1, 2)
    }
    cells = read_table(tables['table'](results))
    assert cells['review, 256 channels, to the formula: time'] == ['3.00x'] * 2
    assert cells['review, CIFAR, to its convolutions'] == ['1.50x'] * 2
    assert cells['step, CIFAR, to student + teacher'] == ['0.64x'] * 2
    assert cells['step, Faster R-CNN, to the student: memory'] == ['1.40x'] * 2
    assert cells['loading of CIFAR, image by image'] == ['9,413 images/s'] * 2


def test_the_plot(tables, tmp_path):
    assert tables['plot']({}) is None
    results = {
        **{
            f'size_{size}': result(dict(size=size), scale)
            for size, scale in (('600x800', 4.0), ('240x320', 1.0))
        },
        **{f'batch_{n}': result(dict(batch=n), n) for n in (4, 1, 2)},
        # three levels took more time than four: they stay in their order
        **{
            f'levels_{n}': result(dict(levels=['x'] * n), {3: 4.5}.get(n, n))
            for n in range(1, 6)
        },
    }
    figure = tables['plot'](results)
    sizes, batches, levels = figure.axes[:3]
    assert [list(line.get_ydata()) for line in sizes.lines] == [
        [7.0, 28.0],  # distilled
        [5.0, 20.0],
        [6.0, 24.0],
    ]
    assert [label.get_text() for label in batches.get_xticklabels()] == ['1', '2', '4']
    assert list(levels.lines[0].get_ydata()) == [7.0, 14.0, 31.5, 28.0, 35.0]
    assert sizes.get_ylim()[0] == 0 and levels.get_ylim()[1] > 35
    tables['save_plot'](figure, str(tmp_path / 'plot.svg'))
    assert (tmp_path / 'plot.svg').stat().st_size < 60_000
