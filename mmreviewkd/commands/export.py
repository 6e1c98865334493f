"""Write a plain student checkpoint with only weights and class names.

Every checkpoint of a run loads into the plain student's config as it is; this
one is also without the methods' parameters, the optimizer and the logs.
"""

import argparse
import os.path as osp

from mmengine.runner import CheckpointLoader, save_checkpoint

from ..errors import UserInputError
from ..models.weights import methods_in, weights_of
from ..version import __version__
from .arguments import add_path


def export_student(source: str, target: str) -> None:
    """Write only the student's weights and ``dataset_meta`` of a checkpoint.

    Args:
        source (str): Checkpoint of a distillation run, a file or URL.
        target (str): File to write. Missing folders are created, and the file is
            either complete or not there.
    """
    is_file = osp.exists(source)  # or else a URL
    if is_file and osp.exists(target) and osp.samefile(source, target):
        raise UserInputError(
            f'{target} is the input itself; its optimizer and '
            'review weights would be lost'
        )
    if osp.isdir(target):
        raise UserInputError(f'{target} is a folder; name the file to write')
    try:
        checkpoint = CheckpointLoader.load_checkpoint(source, 'cpu')
    except FileNotFoundError as error:
        raise UserInputError(str(error)) from None
    if 'state_dict' not in checkpoint:
        raise UserInputError(
            f'{source} has no "state_dict"; it is not a checkpoint of mmengine'
        )
    meta = checkpoint.get('meta') or {}
    weights = weights_of(checkpoint)
    methods = methods_in(weights)
    student = dict(
        state_dict={
            key: value
            for key, value in weights.items()
            if key.partition('.')[0] not in methods
        },
        meta={
            key: meta[key] for key in ('dataset_meta', 'epoch', 'iter') if key in meta
        }
        | dict(mmreviewkd_version=__version__),
    )
    save_checkpoint(student, target)
    print(
        f'{target}: {len(student["state_dict"])} tensors, '
        f'{osp.getsize(target) / 2**20:.1f} MiB'
        + (f' (from {osp.getsize(source) / 2**20:.1f} MiB)' if is_file else '')
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_path(parser, 'source', metavar='IN', help="a run's checkpoint, file or URL")
    add_path(parser, 'target', metavar='OUT', help='file to write')


def run(args: argparse.Namespace) -> None:
    export_student(args.source, args.target)
