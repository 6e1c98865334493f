"""The table and curves of several runs, from logs."""

import json
import math
import os
import runpy
import sys

from tests.support.paths import TOOLS

import cv2
import pytest

TOOL = TOOLS / 'compare_runs.py'


def detection(ap, name='bbox', **more):
    """As CocoMetric logs it."""
    parts = dict(_50=ap + 0.2, _75=ap, _s=-1, _m=ap - 0.1, _l=ap + 0.1)
    return {
        f'coco/{name}_mAP': ap,
        **{f'coco/{name}_mAP{end}': value for end, value in parts.items()},
        **{f'coco/{key}_precision': value for key, value in more.items()},
    }


def training(epochs=2, review=None):
    for step in range(1, epochs + 1):
        yield dict(
            loss=2 / step,
            epoch=step,
            iter=step,
            step=step,
            **(dict(loss_review=1 / step) if review else {}),
        )


def write_run(folder, *validations, train=(), start='20260101_000000'):
    """A work dir; validations are (epoch, metrics)."""
    logs = folder / start / 'vis_data'
    logs.mkdir(parents=True)
    lines = [
        *(train or training()),
        *(
            dict(metrics, step=epoch, time=0.1, data_time=0.1)
            for epoch, metrics in validations
        ),
    ]
    (logs / 'scalars.json').write_text('\n'.join(map(json.dumps, lines)))


def write_test(folder, metrics, start='20260102_000000'):
    (folder / start).mkdir(parents=True)
    (folder / start / f'{start}.json').write_text(
        json.dumps(dict(metrics, time=0.1, data_time=0.1))
    )
    # what else may lie there
    (folder / start / 'results.bbox.json').write_text('[]')


@pytest.fixture
def tool(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        """``(error, {row: {run: cell}}, notes)``"""
        monkeypatch.setattr(sys, 'argv', ['compare_runs.py', *arguments])
        try:
            runpy.run_path(str(TOOL), run_name='__main__')
        except SystemExit as stop:
            return stop.code, {}, ''
        lines = capsys.readouterr().out.splitlines()
        cells = [
            [cell.strip() for cell in line.split('|')[1:-1]]
            for line in lines
            if line.startswith('|')
        ]
        header, _, *rows = cells
        return (
            None,
            {row[0]: dict(zip(header[1:], row[1:])) for row in rows},
            '\n'.join(line for line in lines if not line.startswith('|')),
        )

    return call


def test_detectors(tool, tmp_path):
    write_run(
        tmp_path / 'a', (1, detection(0.2)), (2, detection(0.4, RBC=0.31, WBC=math.nan))
    )
    write_run(
        tmp_path / 'b',
        (2, detection(0.4567, RBC=0.3, WBC=0.5)),
        train=training(review=True),
    )
    error, table, notes = tool('a', 'b/')
    assert not error
    assert table == {
        'epoch': dict(a='2', b='2'),
        'AP': dict(a='40.0', b='45.7 (+5.7)'),
        'AP50': dict(a='60.0', b='65.7 (+5.7)'),
        'AP75': dict(a='40.0', b='45.7 (+5.7)'),
        'AP small': dict(a='-', b='-'),
        'AP medium': dict(a='30.0', b='35.7 (+5.7)'),
        'AP large': dict(a='50.0', b='55.7 (+5.7)'),
        'AP RBC': dict(a='31.0', b='30.0 (-1.0)'),
        'AP WBC': dict(a='-', b='50.0'),
    }
    assert 'In brackets: difference to a.' in notes
    assert 'Warning' not in notes and 'classwise' not in notes
    folder = tmp_path / 'work_dirs' / 'compare_a_b'
    assert sorted(os.listdir(folder)) == ['curves.png', 'table.md']
    written = (folder / 'table.md').read_text()
    assert '| AP WBC' in written and 'In brackets' in written
    assert cv2.imread(str(folder / 'curves.png')).std() > 1
    # a second time nothing is overwritten
    assert tool('a', 'b')[0].endswith('choose another --out-dir')
    assert (folder / 'table.md').read_text() == written


def test_runs_that_end_apart_or_without_validation(tool, tmp_path):
    write_run(tmp_path / 'whole', (1, detection(0.2)), (2, detection(0.3)))
    write_run(tmp_path / 'half', (1, detection(0.25)))
    write_run(tmp_path / 'none')
    write_run(tmp_path / 'nothing', (2, {}))
    write_test(tmp_path / 'tested', detection(0.35))
    names = ['whole', 'half', 'none', 'nothing', 'tested']
    error, table, notes = tool(*names)
    assert not error
    assert table['epoch'] == dict(
        whole='2', half='1', none='-', nothing='2', tested='test'
    )
    assert table['AP'] == dict(
        whole='30.0', half='25.0 (-5.0)', none='-', nothing='-', tested='35.0 (+5.0)'
    )
    assert 'do not end at the same epoch: whole 2, half 1, tested test' in notes
    assert 'detected in it: none, nothing' in notes
    assert 'val_evaluator.classwise=True' in notes
    assert os.listdir('work_dirs') == ['compare_whole_and_4_more']


def test_masks_names_and_iterations(tool, tmp_path):
    both = detection(0.3) | detection(0.25, 'segm', thing=0.25)
    steps = [dict(loss=1.0, iter=i, step=i) for i in (10, 20)]
    write_run(tmp_path / 'x' / 'run', (20, both), train=steps)
    write_run(tmp_path / 'y' / 'run', (20, both), train=steps)
    assert 'need as many names, each another' in tool('x/run', 'y/run')[0]
    assert 'need as many names' in tool('x/run', '--names', 'a', 'b')[0]
    error, table, notes = tool(
        'x/run', 'y/run', '--names', 'one', 'the other', '--out-dir', 'out'
    )
    assert not error
    assert table['iteration'] == dict.fromkeys(('one', 'the other'), '20')
    assert table['mask AP'] == {'one': '25.0', 'the other': '25.0 (+0.0)'}
    assert table['mask AP large']['one'] == '35.0'
    assert 'AP by class is that of masks' in notes
    assert sorted(os.listdir('out')) == ['curves.png', 'curves_mask.png', 'table.md']


def test_epochs_and_iterations(tool, tmp_path):
    top1 = {'accuracy/top1': 50.0}
    write_run(tmp_path / 'a', (2, top1))
    write_run(tmp_path / 'b', (20, top1), train=[dict(loss=1.0, iter=20, step=20)])
    _, table, notes = tool('a', 'b')
    assert table['epoch'] == dict(a='2', b='iteration 20')
    assert 'do not end at the same epoch: a 2, b iteration 20' in notes


def test_classifiers(tool, tmp_path):
    write_run(tmp_path / 'a', (2, {'accuracy/top1': 71.25, 'accuracy/top5': 90.0}))
    write_run(tmp_path / 'b', (2, {'accuracy/top1': 70.0}))
    write_run(tmp_path / 'c', (2, {'pascal_voc/mAP': 0.5}))
    error, table, notes = tool('a', 'b', 'c')
    assert not error
    assert table['accuracy/top1'] == dict(a='71.2', b='70.0 (-1.2)', c='-')
    assert table['accuracy/top5'] == dict(a='90.0', b='-', c='-')
    assert table['pascal_voc/mAP'] == dict(a='-', b='-', c='50.0')
    assert 'classwise' not in notes
    assert sorted(os.listdir('work_dirs/compare_a_b_c')) == [
        'curves_top1.png',
        'table.md',
    ]


def test_a_test_alone_has_no_curves(tool, tmp_path):
    write_test(tmp_path / 'a', detection(0.1))
    write_test(tmp_path / 'a', detection(0.2), start='20260103_000000')
    _, table, notes = tool('a')
    assert table['AP'] == dict(a='20.0')
    assert notes.endswith('the table is in work_dirs/compare_a')
    assert os.listdir('work_dirs/compare_a') == ['table.md']


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['--report', 'x', '--names', 'a'], '--names is for work dirs, not for --rep'),
        (['--report', 'x', '--out-dir', 'a'], '--out-dir is for work dirs, not for '),
        (['x', '--page', 'a'], '--page is for --report'),
    ],
)
def test_flags_of_the_other_kind(tool, arguments, message):
    assert tool(*arguments)[0].startswith(f'error: {message}')


def test_errors_leave_nothing(tool, tmp_path):
    write_run(tmp_path / 'none')
    (tmp_path / 'empty').mkdir()
    before = sorted(os.listdir())
    for folder, message in (
        ('gone', 'no such folder: gone'),
        ('empty', 'no training log matches empty'),
        ('none', 'none of the runs has logged a valid'),
    ):
        error = tool(folder)[0]
        assert message in error and '\n' not in error
    assert sorted(os.listdir()) == before
