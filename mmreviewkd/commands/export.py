"""Write a plain student checkpoint: the weights, and what they were trained on.

Every checkpoint of a run loads into the plain student's config as it is; this
one is also without the methods' parameters, the optimizer and the logs. Beside the
weights are the class names, the epoch and iteration, and the version of mmreviewkd.
"""

import argparse
import os.path as osp

from ..models.export import export_student
from .arguments import add_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_path(parser, 'source', metavar='IN', help="a run's checkpoint, file or URL")
    add_path(parser, 'target', metavar='OUT', help='file to write')


def run(args: argparse.Namespace) -> None:
    number = export_student(args.source, args.target)
    text = f'{args.target}: {number} tensors, {_size(args.target)}'
    # a URL has no size
    print(text + (f' (from {_size(args.source)})' if osp.exists(args.source) else ''))


def _size(path: str) -> str:
    return f'{osp.getsize(path) / 2**20:.1f} MiB'
