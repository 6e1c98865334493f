"""The commands of the program ``mmreviewkd``, one module for each.

The module of a command has a docstring, which is its help, and two functions:
``add_arguments(parser)`` and ``run(args)``. ``tools/*.py`` run the same functions
under the names and with the flags of mmdet's tools. The module of a command of two
words, such as ``benchmark review``, is ``benchmark_review``.
"""

import argparse
import importlib
import re
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
    'benchmark review',
    'benchmark step',
    'benchmark loading',
    'demo',
    'demo-cls',
)
# what the commands of two words have in common, by their first word
GROUPS = {
    'benchmark': 'Time and memory of the review, of training steps and of data loading.'
}


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Run the program ``mmreviewkd``: the command that the first argument names.

    The program exits with code 1 and one line on stderr if the user's input or the
    machine is at fault, and with code 2 if the command line cannot be parsed.

    Args:
        argv (Sequence[str], optional): The command's name and its arguments.
            Defaults to those of the program.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    words = 2 if argv and argv[0] in GROUPS else 1
    name = ' '.join(argv[:words])
    if name in COMMANDS:
        run(name, argv[words:], prog=f'mmreviewkd {name}')
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
        return importlib.import_module(f'{__name__}.{re.sub("[- ]", "_", name)}')


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
    groups = {'': commands}
    for name in COMMANDS:
        command = _module(name)
        summary = command.__doc__.splitlines()[0]
        group, _, word = name.rpartition(' ')
        if group not in groups:
            parent = commands.add_parser(
                group, help=GROUPS[group], description=GROUPS[group]
            )
            groups[group] = parent.add_subparsers(metavar='COMMAND', required=True)
        child = groups[group].add_parser(word, help=summary, **_help(command))
        command.add_arguments(child)
        add_debug(child)
    return parser
