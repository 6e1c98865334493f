"""Commands as users run them: in this process, or in one of their own."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

from mmreviewkd.commands import main
from tests.support.paths import ROOT

import pytest


def call(name, *args):
    """One of our tools in this process; its exit message is the result."""
    argv, sys.argv = sys.argv, [name, *map(str, args)]
    try:
        runpy.run_path(str(ROOT / 'tools' / f'{name}.py'), run_name='__main__')
    except SystemExit as stop:
        return stop.code
    finally:
        sys.argv = argv


def stand_in(program, monkeypatch):
    """Let a program, written into the working folder, run in Python's place."""
    path = Path('program')
    path.write_text(program)
    path.chmod(0o755)
    monkeypatch.setattr(sys, 'executable', str(path.resolve()))


def starting(tool, table, capsys):
    """What calls a tool on a table whose stand-in notes its starts in started.txt.

    It returns the tool's error or None, the lines noted, and the output.
    """

    def run(*arguments):
        started = Path('started.txt')
        started.write_text('')
        error = call(tool, table, *arguments)
        return error, started.read_text().splitlines(), capsys.readouterr().out

    return run


def process(script, *args, cwd):
    env = dict(os.environ, PYTHONPATH=str(ROOT), PYTHONWARNINGS='ignore')
    return subprocess.run(
        [sys.executable, str(script), *map(str, args)],
        cwd=cwd,
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=300,
    )


def refused(tool, *args):
    """The line in which a tool ends."""
    error = call(tool, *args)
    assert error.startswith('error: ') and '\n' not in error
    return error[7:]


def exit_code(*arguments):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    return stop.value.code
