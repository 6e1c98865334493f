"""Commands in forked processes, which may end in any way."""

import faulthandler
import gc
import os
import runpy
import sys

from tests.support.paths import ROOT


def outcome_of(function, output):
    """Exit status of a forked process, negative for a signal."""
    process = os.fork()
    if not process:
        faulthandler.disable()
        gc.freeze()  # what this process has left is not the child's to finalise
        sys.stdout = sys.stderr = stream = open(output, 'w')  # noqa: SIM115
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
        try:
            function()
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
            print(stop.code)
        except BaseException as error:
            code = 99
            print(f'{type(error).__name__}: {error}')
        stream.flush()
        os._exit(code)
    _, status = os.waitpid(process, 0)
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def tool(name, *args):

    def run():
        sys.argv = [name, *map(str, args)]
        runpy.run_path(str(ROOT / 'tools' / f'{name}.py'), run_name='__main__')

    return run
