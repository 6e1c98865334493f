"""Scripts of ``tools/`` are commands under the names of mmdet's tools."""

import os
import re
import runpy
import sys

from mmreviewkd.commands import COMMANDS
from tests.support.commands import exit_code
from tests.support.paths import ROOT

import pytest

SHIMS = {
    'compare': 'compare_runs',
    'export': 'export_student',
    'visualize': 'visualize_review',
}


@pytest.mark.parametrize('name', COMMANDS)
def test_a_tool_is_its_command(name, capsys, monkeypatch):
    assert exit_code(name, '--help') == 0
    usage, text = capsys.readouterr().out.split('\n\n', 1)
    assert usage.startswith(f'usage: mmreviewkd {name} ')
    tool = ROOT / 'tools' / f'{SHIMS.get(name, re.sub("[- ]", "_", name))}.py'
    monkeypatch.setattr(sys, 'argv', [str(tool), '--help'])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(tool), run_name='__main__')
    assert stop.value.code == 0
    assert capsys.readouterr().out.split('\n\n', 1)[1] == text
    assert os.access(tool, os.X_OK)
