"""tools/benchmark_loading.py runs, and prints what it measured."""

import os
import re
import subprocess
import sys

from tests.support.paths import ROOT, TOOLS

import pytest

TOOL = TOOLS / 'benchmark_loading.py'


@pytest.mark.slow
def test_prints_speeds_and_ratios():
    result = subprocess.run(
        [
            sys.executable,
            str(TOOL),
            '--device',
            'cpu',
            '--images',
            '200',
            '--batch',
            '64',
            '--workers',
            '0',
            '1',
            '--repeats',
            '2',
        ],
        capture_output=True,
        text=True,
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
    )
    assert result.returncode == 0, result.stderr
    assert '200 images of 32x32, batches of 64' in result.stdout
    rows = {
        name: [float(number) for number in re.findall(r'[\d.]+', numbers)]
        for name, numbers in re.findall(
            r'^\| (per .+?) +(\|.*)$', result.stdout, re.MULTILINE
        )
    }
    assert list(rows) == ['per image, 0 workers', 'per image, 1 workers', 'per batch']
    ours = rows['per batch'][0]
    for speed, slowest, fastest, ratio in rows.values():
        assert 0 < slowest <= speed <= fastest
        # printed with few digits
        assert ratio == pytest.approx(ours / speed, rel=0.01, abs=0.06)
