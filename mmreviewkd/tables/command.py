"""Commands in a process of their own: of this package, and git."""

from __future__ import annotations

import subprocess
import sys

from ..errors import UserInputError


def last_line(output: str) -> str:
    """Return the last line of what a command printed, which says why it ended."""
    return (output.strip().splitlines() or ['no output'])[-1].strip()


def run_command(name: str, *arguments: str) -> None:
    """Run ``mmreviewkd`` in a process of its own, without its output.

    Args:
        name (str): What it is run for, which the message of an error begins with.
        arguments (str): What follows ``mmreviewkd`` on the command line.

    Raises:
        UserInputError: The command failed. The message has the command's own.
    """
    command = [sys.executable, '-m', 'mmreviewkd', *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        reason = last_line(done.stderr or done.stdout).removeprefix('error: ')
        raise UserInputError(f'{name}: {reason}')


def short(commit: str) -> str:
    """Return the first ten digits of what :func:`commit_of_now` returned."""
    return commit[:10] + '+' * commit.endswith('+')


def commit_of_now() -> str:
    """Return the commit of this checkout, with a + if the code was changed since."""

    def git(*arguments: str) -> str:
        done = subprocess.run(['git', *arguments], capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else ''

    changed = git('status', '--porcelain', '--', 'mmreviewkd', 'configs', 'tools')
    return git('rev-parse', 'HEAD') + ('+' if changed else '')
