"""What ``make`` says of a stack or an interpreter that cannot be."""

import shutil
import subprocess
import sys

from tests.support.paths import ROOT

import pytest


@pytest.mark.skipif(not shutil.which('make'), reason='no make here')
@pytest.mark.parametrize(
    'variable, message',
    [
        ('STACK=onedll', 'STACK=onedll: must be openmmlab or onedl'),
        ('PYTHON=/none', 'PYTHON=/none: must be an interpreter of Python >= 3.9'),
    ],
)
def test_one_line_and_nothing_made(variable, message):
    before = sorted(ROOT.glob('.venv*'))
    result = subprocess.run(
        ['make', '-C', str(ROOT), 'test', f'PYTHON={sys.executable}', variable],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 2
    (line,) = [line for line in result.stderr.splitlines() if '***' in line]
    assert f'*** {message}.' in line
    assert sorted(ROOT.glob('.venv*')) == before
