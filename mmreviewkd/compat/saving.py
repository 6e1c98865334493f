"""Keeps checkpoints on disk whole, whenever a run is stopped.

mmengine writes a checkpoint directly to its place, so that a killed run or a
full disk leaves a broken file there, and it resumes from whatever
``last_checkpoint`` names. Its FlexibleRunner, from 0.8 to 0.10.7 and in
OneDL's 0.10.12, also saves a model in DistributedDataParallel with
``module.`` before every name.
"""

import glob
import logging
import os
import os.path as osp
import stat
import uuid
import zipfile
from pathlib import Path
from typing import Optional, Union

import mmengine.runner.runner
from mmengine._strategy import BaseStrategy
from mmengine.fileio import LocalBackend
from mmengine.logging import print_log
from mmengine.runner import _flexible_runner, weights_to_cpu
from torch import Tensor

from ..errors import UserInputError
from .unwrap import unwrap

_PART = '.part'


def put_whole(self: LocalBackend, obj: bytes, filepath: Union[str, Path]) -> None:
    """Replacement of ``LocalBackend.put`` that replaces the file once all is on disk.

    Raises:
        OSError: Writing fails, for example because the disk is full; the message
            names the file. An existing file is unchanged, and no other is left.
    """
    # a link stays, and what it points to is replaced
    place = osp.realpath(filepath)
    # a unique name, since several processes may save the same file
    part = f'{place}.{uuid.uuid4().hex[:8]}{_PART}'
    try:
        os.makedirs(osp.dirname(place), exist_ok=True)
        with open(part, 'xb') as file:
            file.write(obj)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, place)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(filepath)) from error
    finally:
        if osp.exists(part):
            os.remove(part)


def write_whole(path: str, text: str) -> None:
    """Write a text file. Whoever reads it sees the former one, or all of this one.

    Raises:
        OSError: Writing fails; the message names the file, and a former one is
            unchanged.
    """
    put_whole(LocalBackend(), text.encode(), path)


def check_target(path: str) -> None:
    """Refuse a path that no file can be written to, before the work for it begins.

    Raises:
        UserInputError: The path is empty, a URL, a folder or within a file, or its name
            is too long.
    """
    if not path or '://' in path:
        raise UserInputError(f"'{path}' is no path of a file to write")
    try:
        is_folder = stat.S_ISDIR(os.stat(path).st_mode)
    except FileNotFoundError:
        return
    except OSError as error:
        raise UserInputError(f'{path} cannot be written: {error.strerror}') from None
    if is_folder:
        raise UserInputError(f'{path} is a folder; name the file to write')


def remove_parts(folder: str) -> None:
    """Remove the unfinished checkpoints that killed runs have left.

    Args:
        folder (str): Work dir that no other process is saving to.
    """
    # a browser's unfinished download, NAME.pth.part, is not ours
    pattern = f'*.pth.{"[0-9a-f]" * 8}{_PART}'
    for part in glob.glob(osp.join(glob.escape(folder), pattern)):
        os.remove(part)


def latest_whole_checkpoint(path: str) -> Optional[str]:
    """Return the last checkpoint of a run, if it is whole.

    Args:
        path (str): Work dir.

    Returns:
        str or None: The file that ``last_checkpoint`` names or, if that is broken
        or missing, the newest whole checkpoint beside it.
    """
    noted = _noted_checkpoint(path)
    if '://' in noted or _is_whole(noted):
        return noted
    candidates = [
        name
        for name in glob.glob(osp.join(glob.escape(path), '*.pth'))
        if not osp.basename(name).startswith('best_')
    ]
    newest = sorted(candidates, key=osp.getmtime, reverse=True)
    return next(filter(_is_whole, newest), None)


def find_latest_whole_checkpoint(path: str) -> Optional[str]:
    """Replacement of mmengine's ``find_latest_checkpoint``; warns of a broken one.

    Args:
        path (str): Work dir.

    Returns:
        str or None: The checkpoint to resume from.
    """
    found, noted = latest_whole_checkpoint(path), _noted_checkpoint(path)
    warning = None
    if found is None:
        warning = f'{path} has no whole checkpoint to resume from; the run starts anew'
    elif found != noted:
        warning = (
            f'{noted or osp.join(path, "last_checkpoint")} is missing or not whole; '
            f'resuming from {found}, the newest checkpoint that is'
        )
    if warning:
        print_log(warning, 'current', logging.WARNING)
    return found


def _noted_checkpoint(path: str) -> str:
    """Return what ``last_checkpoint`` names, empty without such a file.

    The note has the whole path. In a copy of a work dir, or seen from another working
    folder, that is in another work dir, or nowhere; the file of this name beside the
    note goes first then.
    """
    note = osp.join(path, 'last_checkpoint')
    if not osp.isfile(note):
        return ''
    with open(note) as file:
        noted = file.read().strip()
    beside = osp.join(path, osp.basename(noted))
    if '://' in noted or not osp.isfile(beside):
        return noted
    # a folder that CheckpointHook(out_dir=...) names is no work dir
    work_dir = osp.isfile(osp.join(osp.dirname(noted), 'last_checkpoint'))
    return beside if work_dir or not osp.isfile(noted) else noted


def _is_whole(filename: str) -> bool:
    # torch writes zip archives, which have their directory at the end
    return osp.isfile(filename) and zipfile.is_zipfile(filename)


def plain_state_dict(self: BaseStrategy) -> dict[str, Tensor]:
    """Replacement of ``BaseStrategy.model_state_dict`` with the model's own names."""
    return weights_to_cpu(unwrap(self.model).state_dict())


def keep_checkpoints_whole() -> None:
    """Make mmengine save and resume with this module."""
    LocalBackend.put = put_whole
    BaseStrategy.model_state_dict = plain_state_dict
    for module in (mmengine.runner.runner, _flexible_runner):
        module.find_latest_checkpoint = find_latest_whole_checkpoint
