"""A plain student checkpoint from one of a distillation."""

import os.path as osp

from mmengine.runner import save_checkpoint

from ..compat.checkpoint import load_from_local
from ..compat.saving import check_target
from ..errors import UserInputError
from ..version import __version__
from .weights import load_file, methods_in, weights_of


def export_student(source: str, target: str) -> int:
    """Write only the student's weights of a checkpoint, and a short ``meta``.

    That has the ``dataset_meta``, epoch and iteration of the run, and the version of
    this package.

    Args:
        source (str): Checkpoint of a distillation run, a file or URL.
        target (str): File to write. Missing folders are created, and the file is
            either complete or not there.

    Returns:
        int: Number of tensors written.

    Raises:
        UserInputError: ``source`` is missing or no checkpoint, or ``target`` is
            ``source`` itself, a checkpoint that a run can go on from, or cannot be
            written.
    """
    if osp.exists(source) and osp.exists(target) and osp.samefile(source, target):
        raise UserInputError(
            f'{target} is the input itself; its optimizer and '
            'review weights would be lost'
        )
    check_target(target)
    checkpoint = load_file(source, 'distilled')
    if 'state_dict' not in checkpoint:
        raise UserInputError(
            f'{source} has no "state_dict"; it is not a checkpoint of mmengine'
        )
    meta = checkpoint.get('meta') or {}
    weights = weights_of(checkpoint)
    methods = methods_in(weights)
    state = {
        key: value
        for key, value in weights.items()
        if key.partition('.')[0] not in methods
    }
    known = ('dataset_meta', 'epoch', 'iter')
    kept = {key: meta[key] for key in known if key in meta}
    kept['mmreviewkd_version'] = __version__
    if _has_optimizer(target):
        raise UserInputError(
            f"{target} is a run's checkpoint, with its optimizer; name another file to "
            'write, or remove that one before'
        )
    save_checkpoint(dict(state_dict=state, meta=kept), target)
    return len(state)


def _has_optimizer(target: str) -> bool:
    try:
        return 'optimizer' in load_from_local(target, 'cpu')
    except UserInputError:  # there is no file, or it is no checkpoint
        return False
