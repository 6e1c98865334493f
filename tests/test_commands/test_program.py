"""The ``mmreviewkd`` program: its commands, their help and exit codes."""

import os
import subprocess
import sys

from mmreviewkd import __version__
from mmreviewkd.commands import COMMANDS, GROUPS
from tests.support.commands import exit_code
from tests.support.paths import ROOT

import pytest


def test_help_lists_the_commands(capsys):
    assert exit_code('--help') == 0
    out = capsys.readouterr().out
    # of commands of two words only the first
    first = list(dict.fromkeys(name.split()[0] for name in COMMANDS))
    positions = [out.index(f'\n    {name} ') for name in first]
    assert positions == sorted(positions)


@pytest.mark.parametrize('group', GROUPS)
def test_help_of_a_group_lists_its_commands(group, capsys):
    assert exit_code(group, '--help') == 0
    out = capsys.readouterr().out
    assert out.startswith(f'usage: mmreviewkd {group} ') and GROUPS[group] in out
    seconds = [name.split()[1] for name in COMMANDS if name.startswith(f'{group} ')]
    assert seconds and all(f'\n    {name} ' in out for name in seconds)


def test_version(capsys):
    assert exit_code('--version') == 0
    assert capsys.readouterr().out == f'{__version__}\n'


@pytest.mark.parametrize(
    'arguments, message',
    [
        ([], 'the following arguments are required: COMMAND'),
        (['trian'], "invalid choice: 'trian'"),
        (['train'], 'the following arguments are required: config'),
        (['benchmark'], 'the following arguments are required: COMMAND'),
        (['benchmark', 'speed'], "invalid choice: 'speed'"),
        (['benchmark', 'step'], 'the following arguments are required: config'),
        (['test', 'x.py'], 'the following arguments are required: checkpoint'),
        (['train', 'x.py', '--rseume'], 'unrecognized arguments: --rseume'),
    ],
)
def test_an_unreadable_command_line(arguments, message, capsys):
    assert exit_code(*arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith('usage: mmreviewkd') and message in error


def test_bad_input(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # sys.exit prints it on stderr and makes it exit code 1
    assert exit_code('train', 'x.py').startswith('error: config x.py does not exist')
    assert not list(tmp_path.iterdir())


def test_shells_complete_commands_and_flags(tmp_path):
    # in a process: nothing but the script may be on stdout, for "eval"
    script = subprocess.run(
        [sys.executable, '-m', 'mmreviewkd', '--print-completion', 'bash'],
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    # nothing that a package prints while it is imported is before it
    assert script.startswith('#')
    (tmp_path / 'distil.py').touch()
    (tmp_path / 'complete.sh').write_text(
        script + '\n'
        'complete_line() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))\n'
        '    _shtab_mmreviewkd; echo "${COMPREPLY[@]}"; }\n'
        'complete_line mmreviewkd tr\n'
        'complete_line mmreviewkd train --res\n'
        'complete_line mmreviewkd benchmark st\n'
        'complete_line mmreviewkd test distil\n'
    )
    out = subprocess.run(
        ['bash', 'complete.sh'], cwd=tmp_path, capture_output=True, text=True
    )
    assert out.stdout.splitlines() == [
        'train',
        '--resume',
        'step',
        'distil.py',
    ], out.stderr
