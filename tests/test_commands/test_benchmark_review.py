"""``mmreviewkd benchmark review`` prints and writes what it measured."""

import json

from mmreviewkd.commands import main
from tests.support.commands import exit_code
from tests.support.markdown import read_table

import pytest
import torch

ROWS = ['textbook', 'convolutions', 'convolutions, channels_last', 'mmreviewkd']
SHAPES = ['32x40', '16x20', '8x10']


def benchmark(tmp_path, *args):
    file = tmp_path / 'result.json'
    options = ('--device', 'cpu', '--repeats', '1', '--json', file)
    main(['benchmark', 'review', *map(str, (*options, *args))])
    return json.loads(file.read_text())


@pytest.mark.parametrize('options', [[], ['--amp', '--batch', 2]])
def test_the_table_has_the_written_figures(options, tmp_path, capsys):
    result = benchmark(tmp_path, '--channels', 16, '--shapes', *SHAPES, *options)
    printed = capsys.readouterr().out
    batch = 2 if options else 1
    levels = ', '.join(f'16x{shape}' for shape in SHAPES)
    assert f'{batch} x ({levels})' in printed
    assert ('mixed precision' in printed) == bool(options)
    seconds, peaks = result['seconds'], result['peak_bytes']
    assert list(seconds) == list(peaks) == ROWS
    for name, cells in read_table(printed).items():
        time, to_textbook, to_bound, peak, memory = cells
        assert time == f'{1000 * seconds[name]:.1f} ms'
        assert to_textbook == f'{seconds[name] / seconds["textbook"]:.2f}x'
        assert to_bound == f'{seconds[name] / seconds["convolutions"]:.2f}x'
        assert peak == f'{peaks[name] / 2**20:.1f} MiB'
        assert memory == f'{peaks[name] / peaks["textbook"]:.2f}x'
    # the memory does not depend on the machine's load, unlike the time
    assert peaks['mmreviewkd'] < 0.8 * peaks['textbook']
    assert peaks['convolutions'] < peaks['textbook']
    losses = result['losses']
    assert losses['mmreviewkd'] == pytest.approx(
        losses['textbook'], rel=1e-2 if options else 1e-4
    )


def test_levels_of_different_channels_as_those_of_classifiers(tmp_path, capsys):
    result = benchmark(
        tmp_path,
        *('--batch', 2),  # or BatchNorm has a single value at the last level
        *('--shapes', '8x8', '4x4', '1x1'),
        *('--channels', 4, 8, 8),
        *('--out-channels', 8, 16, 16),
    )
    assert '2 x (4-8x8x8, 8-16x4x4, 8-16x1x1)' in capsys.readouterr().out
    assert result['settings']['channels'] == [4, 8, 8]
    # the outputs of the 1x1 and of the 3x3 convolutions, 4 bytes for each value
    maps = [(8 * 64, 8 * 64), (8 * 16, 16 * 16), (8, 16)]
    assert result['peak_bytes']['convolutions'] >= 2 * 4 * sum(map(sum, maps))


@pytest.mark.slow
def test_compiled(tmp_path, capsys):
    torch._dynamo.reset()
    result = benchmark(tmp_path, '--channels', 8, '--shapes', *SHAPES, '--compile')
    assert [*result['seconds']] == [*ROWS, 'compiled']
    losses = result['losses']
    assert losses['compiled'] == pytest.approx(losses['mmreviewkd'], rel=1e-5)
    assert result['compile_seconds'] > result['seconds']['compiled']
    assert 'first run of compiled: ' in capsys.readouterr().out


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['--repeats', '0'], '--repeats 0: must be at least 1'),
        (['--batch', '0'], '--batch 0: must be at least 1'),
        (['--channels', '8', '0'], '--channels 0: must be at least 1'),
        (['--out-channels', '-1'], '--out-channels -1: must be at least 1'),
        (['--shapes', '5'], '--shapes 5: must be HEIGHTxWIDTH, as 25x42'),
        (['--shapes', '5x5', '0x5'], '--shapes 0x5: must be HEIGHTxWIDTH, as 25x42'),
        (
            ['--shapes', '5x5', '3x3', '2x2', '--channels', '8', '16'],
            '--channels 8 16: must be one number, or 3, one for each of the shapes',
        ),
        (
            ['--shapes', '5x5', '--out-channels', '8', '16'],
            '--out-channels 8 16: must be one number, or 1, one for each of the shapes',
        ),
        (['--device', 'gpu'], '--device gpu: must be cpu, cuda or cuda:N'),
        (
            ['--shapes', '2x2', '--json', 'no/result.json'],
            '--json no/result.json: No such file or directory',
        ),
    ],
)
def test_what_cannot_be_measured(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = exit_code('benchmark', 'review', '--device', 'cpu', *arguments)
    assert code == f'error: {message}'
