"""Reports of made-up runs, whose figures are known by hand."""

import json
import math
import re

from mmreviewkd.commands import main
from mmreviewkd.errors import UserInputError
from mmreviewkd.tables import gain, read_table, report_table
from mmreviewkd.tables.summary import _T, summarize
from tests.support.commands import exit_code
from tests.support.tables import TABLE, rows, write_record, write_steps, write_table

import numpy as np
import pytest


@pytest.fixture
def folder(tmp_path):
    folder = write_table(tmp_path / 'mine')
    write_record(folder, 'teacher', 0, 60.0, teacher=None)
    # 50, 51, 52: mean 51, deviation 1
    for seed in range(3):
        write_record(folder, 'alone', seed, 50.0 + seed, teacher=None)
    # 51, 54, 54: 1, 3 and 2 above
    for seed, score in enumerate((51.0, 54.0, 54.0)):
        write_record(folder, 'kd', seed, score)
    write_steps(folder, kd=(3.0, 1.25))
    return folder


def test_mean_deviation_and_paired_difference(folder):
    table = rows(report_table(str(folder)))
    assert list(table) == ['teacher', 'student alone', 'KD', 'PKD']
    assert table['teacher']['mean'] == '60.0' and table['teacher']['seed 0'] == ''
    assert table['student alone'] == {
        'seed 0': '50.0',
        'seed 1': '51.0',
        'seed 2': '52.0',
        'mean': '51.0',
        'deviation': '1.0',
        'to alone (95 %)': '',
        'AP small': '',  # there is nothing small
        'time': '1.00',
        'memory': '1.00',
    }
    # 4.303 * 1 / sqrt(3) = 2.48
    assert table['KD'] == {
        'seed 0': '51.0',
        'seed 1': '54.0',
        'seed 2': '54.0',
        'mean': '53.0',
        'deviation': '1.7',
        'to alone (95 %)': '+2.0 ± 2.5',
        'AP small': '',
        'time': '3.00',
        'memory': '1.25',
    }
    assert {*table['PKD'].values()} == {'not run', ''}


def test_a_row_with_a_seed_missing_has_no_mean(folder):
    (folder / 'kd_1.json').unlink()
    row = rows(report_table(str(folder)))['KD']
    assert [row[f'seed {seed}'] for seed in range(3)] == ['51.0', 'not run', '54.0']
    assert row['mean'] == row['to alone (95 %)'] == ''
    (folder / 'alone_0.json').unlink()
    write_record(folder, 'kd', 1, 54.0)
    row = rows(report_table(str(folder)))['KD']
    assert row['mean'] == '53.0' and row['to alone (95 %)'] == ''


def test_a_run_that_was_stopped_counts_and_is_marked(folder):
    write_record(folder, 'kd', 2, 54.0, stopped='loss_kd is nan in iteration 9')
    text = report_table(str(folder))
    assert rows(text)['KD']['seed 2'] == '54.0†'
    assert rows(text)['KD']['mean'] == '53.0'
    assert (
        '† KD, seed 2 was stopped: loss_kd is nan in iteration 9. '
        'Last epoch with a score: epoch 6.'
    ) in text
    write_record(
        folder, 'kd', 2, 0.0, stopped='loss_kd is nan', validation=dict(epoch=[])
    )
    text = report_table(str(folder))
    assert rows(text)['KD']['seed 2'] == '-†' and rows(text)['KD']['mean'] == ''
    assert 'Last epoch with a score: none.' in text


def test_a_detector_that_detects_nothing_has_ap_0(folder):
    # mmdet logs no metric then
    write_record(folder, 'kd', 1, 0, validation=dict(epoch=[3, 6]))
    row = rows(report_table(str(folder)))['KD']
    assert row['seed 1'] == '0.0' and row['mean'] == '35.0'
    validation = {'epoch': [3, 6], 'coco/bbox_mAP': [0.1, None]}
    write_record(folder, 'kd', 1, 0, validation=validation)
    assert rows(report_table(str(folder)))['KD']['seed 1'] == '0.0'


def test_says_where_figures_come_from(folder):
    write_record(folder, 'kd', 2, 54.0, commits=['f' * 40])
    write_record(folder, 'teacher', 0, 60.0, teacher=None, commits=['e' * 40])
    assert report_table(str(folder)).endswith(
        '6 of 9 runs; commit eeeeeeeeee, 0123456789, ffffffffff; machine a CPU; '
        'torch 2.1; mmdet 3.3; mmcv 2.1.\n\nTime and peak memory: of a step, relative '
        'to the student alone (batch 8, images of 32x32, a CPU, torch 2.1, median of '
        '9, commit 0123456789).'
    )


def test_without_measured_steps_there_are_no_times(folder, tmp_path):
    (folder / 'steps.json').unlink()
    page = tmp_path / 'page.md'
    page.write_text('<!-- mine -->\n\n<!-- / -->\n')
    text = report_table(str(folder), str(page))
    assert 'time' not in rows(text)['KD'] and 'Time' not in text
    assert not (folder / 'gain.svg').exists()


def test_steps_of_one_table_are_measured_alike(folder):
    write_steps(folder, kd=(3.0, 1.0), pkd=(2.0, 1.0))
    content = json.loads((folder / 'steps.json').read_text())
    content['pkd']['settings']['batch'] = 2
    (folder / 'steps.json').write_text(json.dumps(content))
    with pytest.raises(UserInputError, match='different settings: batch 2.* / batch 8'):
        report_table(str(folder))
    (folder / 'steps.json').write_text('{}')
    assert 'time' not in rows(report_table(str(folder)))['KD']
    del content['pkd']['seconds']
    for wrong in (json.dumps(content), '[1]', '{'):
        (folder / 'steps.json').write_text(wrong)
        with pytest.raises(UserInputError, match='steps.json is not what measure_st'):
            report_table(str(folder))


def test_a_row_may_be_compared_with_another_than_the_first(tmp_path):
    text = TABLE.replace('config: pkd.py, runs_of: other', 'config: pkd.py, alone: kd')
    folder = write_table(tmp_path / 'mine', text)
    for row, score in dict(alone=50.0, kd=52.0, pkd=55.0).items():
        for seed in range(3):
            write_record(folder, row, seed, score)
    table = rows(report_table(str(folder)))
    assert table['KD']['to alone (95 %)'] == '+2.0 ± 0.0'
    assert table['PKD']['to alone (95 %)'] == '+3.0 ± 0.0'


def test_a_row_with_seeds_of_its_own(folder):
    text = TABLE.replace('config: kd.py', 'config: kd.py, seeds: [0, 1]')
    (folder / 'table.yml').write_text(text)
    text = report_table(str(folder))
    row = rows(text)['KD']
    assert [row[f'seed {seed}'] for seed in range(3)] == ['51.0', '54.0', '']
    # 1 and 3 above; 12.706 * sqrt(2) / sqrt(2)
    assert (row['mean'], row['to alone (95 %)']) == ('52.5', '+2.0 ± 12.7')
    assert '5 of 8 runs' in text


def test_runs_of_a_table_of_weights_that_diverged(tmp_path):
    text = TABLE.replace('config: kd.py', 'config: kd.py, weight: 0.5')
    folder = write_table(tmp_path / 'mine', text)
    for seed, score in enumerate((50.0, 51.0)):
        write_record(folder, 'alone', seed, score, teacher=None)
    assert 'diverged' not in report_table(str(folder))
    # 5 points are not more than 5
    write_record(folder, 'kd', 0, 45.0)
    text = report_table(str(folder))
    assert '\n\nOf 1 run with a number as weight, none diverged.' in text
    write_record(folder, 'kd', 1, 45.9)
    # of a third seed alone is not known, which a loss that is not finite needs not
    write_record(folder, 'kd', 2, 0.1)
    write_record(folder, 'pkd', 0, 49.0)
    assert (
        '\n\nOf 2 runs with a number as weight, 1 diverged; of 1 other, none.'
    ) in report_table(str(folder))
    write_record(folder, 'kd', 2, 60.0, stopped='loss_kd is nan in iteration 9')
    write_record(folder, 'pkd', 1, 0.1)
    write_record(folder, 'pkd', 2, 0, stopped='nan', validation=dict(epoch=[]))
    assert (
        'Of 3 runs with a number as weight, 2 diverged; of 3 others, 2.'
    ) in report_table(str(folder))


def test_what_comes_near_the_best_weight(tmp_path):
    """It is compared on the seeds that did not choose the weight."""
    text = TABLE.replace('config: kd.py', 'config: kd.py, weight: 0.5').replace(
        'config: pkd.py', 'config: pkd.py, weight: 2'
    )
    text += '  auto: { title: "\'auto\'", config: auto.py, seeds: [1, 2, 3] }\n'
    folder = write_table(tmp_path / 'mine', text.replace('[0, 1, 2]', '[0, 1, 2, 3]'))
    for seed in range(4):
        write_record(folder, 'alone', seed, 50.0, teacher=None)
    write_record(folder, 'kd', 0, 52.0)
    for seed, value in enumerate((54.0, 50.0, 51.0)):
        write_record(folder, 'pkd', seed, value)
    assert 'the best on' not in report_table(str(folder))
    write_record(folder, 'auto', 1, 52.0)
    write_record(folder, 'auto', 2, 51.0)
    # 2 and 0 above; 12.706 * sqrt(2) / sqrt(2)
    assert (
        "\n\nOn seeds 1, 2, 'auto' is +1.0 ± 12.7 to PKD, the best on seed 0."
    ) in report_table(str(folder))
    # one that a loss has stopped is not the best, and chooses as well
    write_record(folder, 'kd', 0, 0, stopped='nan', validation=dict(epoch=[]))
    assert 'to PKD, the best on seed 0.' in report_table(str(folder))
    write_record(folder, 'kd', 0, 60.0, stopped='nan')
    assert 'to PKD, the best on seed 0.' in report_table(str(folder))
    # as good on the seed that chooses: the smaller weight
    write_record(folder, 'kd', 0, 54.0)
    write_record(folder, 'kd', 3, 52.5)
    write_record(folder, 'auto', 3, 52.0)
    assert ("\n\nOn seed 3, 'auto' is -0.5 to KD, the best on seed 0.") in report_table(
        str(folder)
    )
    # the published weight with the same seeds, where a third weight has but the first
    text += '  far: { title: far, config: far.py, weight: 30, seeds: [0] }\n'
    (folder / 'table.yml').write_text(text.replace('[0, 1, 2]', '[0, 1, 2, 3]'))
    write_record(folder, 'far', 0, 51.0)
    write_record(folder, 'pkd', 3, 51.0)
    assert (
        "'auto' is -0.5 to KD, the best on seed 0, and +1.0 to PKD."
    ) in report_table(str(folder))


def test_runs_under_other_settings_that_diverged(tmp_path):
    """Each is compared with its own student alone."""
    text = TABLE.replace('config: pkd.py', 'config: pkd.py, alone: kd')
    folder = write_table(tmp_path / 'mine', text)
    write_record(folder, 'alone', 0, 50.0, teacher=None)
    write_record(folder, 'kd', 0, 40.0)
    write_record(folder, 'pkd', 0, 36.0)
    # kd is what pkd is compared with: a student alone as well
    assert 'Of 1 run, none diverged.' in report_table(str(folder))
    write_record(folder, 'pkd', 0, 34.9)
    assert 'Of 1 run, 1 diverged.' in report_table(str(folder))


def test_quantiles_of_students_t():
    for freedom, quantile in _T.items():
        t = np.linspace(0, quantile, 20001)
        density = (1 + t**2 / freedom) ** (-(freedom + 1) / 2)
        factor = math.gamma((freedom + 1) / 2) / math.gamma(freedom / 2)
        factor /= math.sqrt(freedom * math.pi)
        inside = 2 * factor * ((density[1:] + density[:-1]) / 2 * np.diff(t)).sum()
        assert inside == pytest.approx(0.95, abs=5e-5)


def test_gain_of_one_seed_and_of_too_many():
    assert gain({3: 52.0}, {3: 50.0, 4: 40.0}) == (2.0, None)
    many = {seed: float(seed) for seed in range(11)}
    with pytest.raises(UserInputError, match='11 seeds: intervals are known for 10'):
        gain({seed: 2 * value for seed, value in many.items()}, many)


def test_a_summary_has_the_runs_that_are_there(folder):
    (folder / 'kd_1.json').unlink()
    table = read_table(str(folder))
    summary = summarize(table, table.rows[1])
    assert list(summary.runs) == [0, 2] and not summary.complete
    assert summary.scores == pytest.approx({0: 51.0, 2: 54.0})


def test_command_writes_between_the_marks_of_a_page(folder, tmp_path, capsys):
    page = tmp_path / 'page.md'
    page.write_text(
        '# A\n\n<!-- mine -->\nold\n<!-- / -->\n\n<!-- b -->\nB\n<!-- / -->\n'
    )
    main(['compare', '--report', str(folder), '--page', str(page)])
    text = page.read_text()
    begin = '# A\n\n<!-- mine -->\n\n'
    end = '\n\n<!-- / -->\n\n<!-- b -->\nB\n<!-- / -->\n'
    assert text.startswith(begin) and text.endswith(end)
    inside = text[len(begin) : -len(end)]
    assert inside in capsys.readouterr().out and rows(inside)['KD']['time'] == '3.00'
    assert '![Gain against the time of a step](mine/gain.svg)' in inside
    plot = (folder / 'gain.svg').read_text()
    assert '>KD</text>' in plot and '>PKD</text>' not in plot
    # the same figures make the same files
    main(['compare', '--report', str(folder), '--page', str(page)])
    assert page.read_text() == text and (folder / 'gain.svg').read_text() == plot


def test_a_table_of_weights_has_their_curve(tmp_path):
    text = TABLE.replace(
        '{title: KD, config: kd.py}', '{title: at 0.5, config: kd.py, weight: 0.5}'
    )
    folder = write_table(tmp_path / 'mine', text)
    page = tmp_path / 'page.md'
    page.write_text('<!-- mine -->\n\n<!-- / -->\n')
    report_table(str(folder), str(page))
    assert not (folder / 'gain.svg').exists()
    # one seed of several is enough
    write_record(folder, 'kd', 0, 54.0)
    write_record(folder, 'alone', 0, 51.0)
    report_table(str(folder), str(page))
    assert '![Score against the weight](mine/gain.svg)' in page.read_text()
    drawn = (folder / 'gain.svg').read_text()
    assert '>weight of the review<' in drawn and '>0.5<' in drawn
    assert '>student alone<' in drawn and '>PKD<' not in drawn


def test_a_table_of_weights_has_the_gradients(tmp_path):
    weights = [10.0**power for power in range(-4, 5)]
    head, _ = TABLE.split('  kd:')
    text = head + ''.join(
        f'  w{i}: {{title: weight {w:g}, config: kd.py, weight: {w}}}\n'
        for i, w in enumerate(weights)
    )
    folder = write_table(tmp_path / 'mine', text + "  auto: {title: 'auto', config: a}")
    page = tmp_path / 'page.md'
    page.write_text('<!-- mine -->\n\n<!-- / -->\n')

    def drawn():
        report_table(str(folder), str(page))
        return (folder / 'gradients.svg').read_text()

    write_record(folder, 'alone', 0, 51.0)
    write_record(folder, 'w0', 0, 51.0)
    report_table(str(folder), str(page))
    assert 'gradients' not in page.read_text()
    assert not (folder / 'gradients.svg').exists()
    # a warm-up, then levels of which one is not always finite
    training = {
        'epoch': [1, 2, 3],
        'loss': [3.0, 2.0, 1.0],
        'review_gradient': [None, 0.5, 0.25],
        'review_gradient_stride8': [None, 0.1, 0.2],
        'review_gradient_stride64': [None, None, 2e4],
    }
    write_record(folder, 'auto', 0, 52.0, training=training)
    assert '>each level, auto<' in drawn()
    for row in range(9):
        write_record(folder, f'w{row}', 0, 52.0, training=training)
    plot = drawn()
    title = "The review's gradient relative to the student's own loss's"
    first, second = (n for n in page.read_text().splitlines() if n.startswith('!['))
    assert 'mine/gain.svg' in first and second == f'![{title}](mine/gradients.svg)'
    for label in ('all levels', 'each level, weight 1', 'stride8', 'stride64', 'auto'):
        assert f'>{label}</text>' in plot
    # with 'auto' as many as can be told apart
    lines = re.findall(r'>weight (\S+)</text>', plot)
    assert lines == [f'{weight:g}' for weight in weights[:7]]
    assert drawn() == plot


@pytest.mark.parametrize(
    'arguments, message',
    [
        ((), 'error: compare takes work dirs, or --report with folders'),
        (('run', '--report', 'mine'), 'error: compare takes work dirs, or --report'),
        (('run', '--page', 'page.md'), 'error: --page is for --report'),
        (('--report', 'none'), 'error: none has no table.yml'),
        (('--report', 'mine', '--page', 'no.md'), 'error: --page no.md: no such file'),
        (
            ('--report', 'mine', '--page', 'page.md'),
            'page.md has no line <!-- mine -->',
        ),
    ],
)
def test_errors_are_one_line(folder, monkeypatch, tmp_path, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'page.md').write_text('<!-- mine -->\nand nothing after it\n')
    code = exit_code('compare', *arguments)
    assert message in code and '\n' not in code
    assert not (folder / 'gain.svg').exists()
