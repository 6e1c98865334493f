"""Flags that several commands have in common."""

import argparse
import os.path as osp
from typing import Any

import shtab

from ..engine.cfg_options import CfgOptionsAction

CONFIG = 'path, or mmdet::folder/name.py or mmreviewkd::folder/name.py'


def add_path(parser: argparse.ArgumentParser, *names: str, **settings: Any) -> None:
    """Add an argument that is a file or folder, and that shells can complete.

    A ``~`` at its beginning is the home folder, also where no shell has seen it.

    Args:
        parser (ArgumentParser): Parser of a command.
        names (str): Names of the argument, as for ``add_argument``.
        settings: Other arguments of ``add_argument``.
    """
    settings.setdefault('type', osp.expanduser)
    parser.add_argument(*names, **settings).complete = shtab.FILE  # type: ignore[attr-defined]


def add_cfg_options(parser: argparse.ArgumentParser) -> None:
    """Add the flag ``--cfg-options`` of commands that read a config and do not train.

    ``engine.launch.read_config`` takes the parsed arguments.
    """
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=CfgOptionsAction,
        help='override settings of the config, as key=value pairs; lists as '
        'key="[a,b]" or key=a,b, nested ones as key="[(a,b),(c,d)]"',
    )
    parser.set_defaults(launcher='none', local_rank=0, work_dir=None)


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags that mmdet's ``train.py`` and ``test.py`` have in common."""
    add_path(parser, '--work-dir', help='folder for logs and checkpoints')
    add_cfg_options(parser)
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='job launcher',
    )
    # different versions of torch.distributed.launch pass different spellings
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)


def add_train_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of mmdet's ``train.py``."""
    add_run_arguments(parser)
    parser.add_argument(
        '--amp', action='store_true', help='train with automatic mixed precision'
    )
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate with the batch size',
    )
    add_path(
        parser,
        '--resume',
        nargs='?',
        const='auto',
        help='continue from this checkpoint or, without one, from the latest '
        'in the work dir',
    )


def add_debug(parser: argparse.ArgumentParser) -> None:
    """Add the flag ``--debug``, an argument of ``engine.one_line_errors``."""
    parser.add_argument(
        '--debug', action='store_true', help='print the traceback of an error, too'
    )
