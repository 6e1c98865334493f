"""Runs of several processes, by the scripts that users start them with."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.paths import TOOLS


def free_port():
    """A port that nothing listens at, for tests that run beside each other."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return free.getsockname()[1]


class Script:
    """A shell script of ``tools/``, on this interpreter, in ``cwd``.

    Args:
        name (str): Of the script.
        args: Its arguments; one of them names ``cwd``, by which :func:`alive`
            finds the processes.
        cwd (Path): A folder; modules in it can be imported, and programs in
            its ``bin`` stand in for the machine's.
        variables (str): Of the environment.
    """

    def __init__(self, name, *args, cwd, **variables):
        path = (cwd / 'bin', Path(sys.executable).parent, os.environ['PATH'])
        env = dict(
            os.environ,
            PATH=os.pathsep.join(map(str, path)),
            PYTHONPATH=f'{TOOLS.parent}{os.pathsep}{cwd}',
            PYTHONWARNINGS='ignore',
        )
        self.cwd = cwd
        self.file = tempfile.TemporaryFile('w+')  # noqa: SIM115, closed at the end
        self.process = subprocess.Popen(
            ['bash', str(TOOLS / name), *map(str, args)],
            cwd=cwd,
            env=dict(env, **variables),
            stdout=self.file,
            stderr=subprocess.STDOUT,
        )

    def end(self, timeout=150):
        """Wait for it.

        Returns:
            tuple[int, str]: Exit code and output.
        """
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            for pid in alive(self.cwd):
                os.kill(pid, signal.SIGKILL)
            code = self.process.wait()
        self.file.seek(0)
        return code, self.file.read()


def alive(folder):
    """Ids of the processes whose command names ``folder``."""
    found = []
    for command in Path('/proc').glob('[0-9]*/cmdline'):
        try:
            if str(folder).encode() in command.read_bytes():
                found.append(int(command.parent.name))
        except OSError:
            pass  # it has ended
    return found
