"""tools/benchmark_review.py runs, and prints what it measured."""

import re
import subprocess
import sys

from mmreviewkd.commands import main
from tests.support.paths import TOOLS

import pytest
import torch

TOOL = TOOLS / 'benchmark_review.py'


def benchmark(*args):
    result = subprocess.run(
        [
            sys.executable,
            str(TOOL),
            '--device',
            'cpu',
            '--channels',
            '16',
            '--repeats',
            '1',
            '--shapes',
            '32x40',
            '16x20',
            '8x10',
            *args,
        ],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize(
    'options', [[], pytest.param(['--amp', '--batch', '2'], marks=pytest.mark.slow)]
)
def test_prints_ratios_of_times_and_memory(options):
    printed = benchmark(*options)
    rows = {
        name: [float(value) for value in re.findall(r'\d+\.\d+', numbers)]
        for name, numbers in re.findall(
            r'^(textbook|mmreviewkd|ratio)\b(.*)$', printed, re.MULTILINE
        )
    }
    assert list(rows) == ['textbook', 'mmreviewkd', 'ratio']
    for column in range(2):  # time, peak memory
        reference, ours, ratio = (row[column] for row in rows.values())
        # printed with few digits, of which tiny shapes leave fewer
        assert ratio == pytest.approx(ours / reference, rel=0.1)
    assert f'{2 if options else 1} x 16 x (32x40, 16x20, 8x10)' in printed
    assert ('mixed precision' in printed) == bool(options)
    # the memory does not depend on the machine's load, unlike the time
    assert rows['ratio'][1] < 0.8
    (difference,) = re.findall(r'relative difference (\S+)', printed)
    assert float(difference) < (1e-2 if options else 1e-4)


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['--repeats', '0'], '--repeats 0: must be at least 1'),
        (['--batch', '0'], '--batch 0: must be at least 1'),
        (['--shapes', '5'], '--shapes 5: must be HEIGHTxWIDTH, as 25x42'),
        (['--device', 'cuda'], '--device cuda: torch sees no GPU'),
    ],
)
def test_what_cannot_be_measured(arguments, message):
    if 'cuda' in arguments and torch.cuda.is_available():
        pytest.skip('there is a GPU')
    with pytest.raises(SystemExit) as stop:
        main(['benchmark', '--device', 'cpu', *arguments])
    assert stop.value.code == f'error: {message}'
