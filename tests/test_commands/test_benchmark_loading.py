"""``mmreviewkd benchmark loading`` prints and writes what it measured."""

import json

from mmreviewkd.commands import main
from tests.support.commands import exit_code
from tests.support.markdown import read_table

import pytest

ROWS = ['per image, 0 workers', 'per image, 1 workers', 'per batch']


@pytest.mark.slow
def test_prints_speeds_and_ratios(tmp_path, capsys):
    file = tmp_path / 'result.json'
    main(
        [
            *('benchmark', 'loading', '--device', 'cpu', '--images', '200'),
            *('--batch', '64', '--workers', '0', '1', '--repeats', '2'),
            *('--json', str(file)),
        ]
    )
    printed = capsys.readouterr().out
    assert '200 images of 32x32, batches of 64' in printed
    medians = json.loads(file.read_text())['images_per_second']
    rows = read_table(printed)
    assert list(rows) == list(medians) == ROWS
    for name, (speed, slowest, fastest, ratio) in rows.items():
        assert speed == f'{medians[name]:.0f}'
        assert 0 < int(slowest) <= int(speed) <= int(fastest)
        assert ratio == f'{medians["per batch"] / medians[name]:.1f}x'


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['--images', '0'], '--images 0: must be at least 1'),
        (['--workers', '0', '-1'], '--workers -1: must be at least 0'),
        (['--device', 'gpu'], '--device gpu: must be cpu, cuda or cuda:N'),
    ],
)
def test_what_cannot_be_measured(arguments, message):
    code = exit_code('benchmark', 'loading', '--device', 'cpu', *arguments)
    assert code == f'error: {message}'
