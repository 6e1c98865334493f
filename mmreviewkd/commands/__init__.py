"""The commands of the program ``mmreviewkd``, one module for each.

The module of a command has a docstring, which is its help, and two functions:
``add_arguments(parser)`` and ``run(args)``. ``tools/*.py`` run the same functions
under the names and with the flags of mmdet's tools.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from types import ModuleType
from typing import Any, Optional

import shtab

from ..engine.one_line_errors import one_line_errors
from ..version import __version__
from .arguments import add_debug

# in the order in which they are used; the help lists them in this order
COMMANDS = (
    'convert',
    'train',
    'test',
    'distill',
    'export',
    'compare',
    'visualize',
    'check-teacher',
    'benchmark',
    'benchmark-loading',
    'demo',
    'demo-cls',
)


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Run the program ``mmreviewkd``: the command that the first argument names.

    The program exits with code 1 and one line on stderr if the user's input or the
    machine is at fault, and with code 2 if the command line cannot be parsed.

    Args:
        argv (Sequence[str], optional): The command's name and its arguments.
            Defaults to those of the program.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    if argv and argv[0] in COMMANDS:
        run(argv[0], argv[1:], prog=f'mmreviewkd {argv[0]}')
    else:
        # prints help, version or completion, or an error for an unknown command
        _program().parse_args(argv)


def run(
    name: str, argv: Optional[Sequence[str]] = None, prog: Optional[str] = None
) -> None:
    """Run one command.

    Args:
        name (str): One of ``COMMANDS``.
        argv (Sequence[str], optional): Arguments of the command. Defaults to those
            of the program.
        prog (str, optional): Name of the program in the help.
    """
    command = _module(name)
    parser = argparse.ArgumentParser(prog=prog, **_help(command))
    command.add_arguments(parser)
    add_debug(parser)
    # intermixed, so that files may also follow options
    args = parser.parse_intermixed_args(argv)
    with one_line_errors(args.debug):
        command.run(args)


def _module(name: str) -> Any:
    with redirect_stdout(sys.stderr):
        return importlib.import_module(f'{__name__}.{name.replace("-", "_")}')


def _help(command: ModuleType) -> dict[str, Any]:
    return dict(
        description=command.__doc__,
        # keeps the line breaks of examples and lists in the text
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _program() -> argparse.ArgumentParser:
    """Build the parser of the program with all its commands."""
    parser = argparse.ArgumentParser(
        prog='mmreviewkd',
        description='Review-KD for MMDetection: distil a large detector or '
        'classifier into a small one.',
    )
    parser.add_argument('--version', action='version', version=__version__)
    shtab.add_argument_to(
        parser,
        '--print-completion',
        help='print a script that lets the shell complete commands and flags',
    )
    commands = parser.add_subparsers(metavar='COMMAND', required=True)
    for name in COMMANDS:
        command = _module(name)
        summary = command.__doc__.splitlines()[0]
        child = commands.add_parser(name, help=summary, **_help(command))
        command.add_arguments(child)
        add_debug(child)
    return parser
