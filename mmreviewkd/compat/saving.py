"""Checkpoints on disk are whole, whenever a run is stopped.

mmengine writes a checkpoint straight to its place, so that a killed run or a
full disk leaves a torn file there, and resumes from whatever
``last_checkpoint`` names.
"""
import glob
import logging
import os
import os.path as osp
import zipfile
from pathlib import Path
from typing import Optional, Union

import mmengine.runner.runner
from mmengine.fileio import LocalBackend
from mmengine.logging import print_log


def put_whole(self, obj: bytes, filepath: Union[str, Path]) -> None:
    """``LocalBackend.put`` that replaces the file once all is on disk."""
    os.makedirs(osp.dirname(osp.abspath(filepath)), exist_ok=True)
    part = f'{filepath}.part'
    try:
        with open(part, 'wb') as file:
            file.write(obj)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, filepath)
    except OSError:
        if osp.exists(part):
            os.remove(part)
        raise


def find_latest_whole_checkpoint(path: str) -> Optional[str]:
    """The checkpoint to resume from: the last one, if it is whole.

    Args:
        path (str): Work dir.

    Returns:
        str or None: What ``last_checkpoint`` names; where that is torn or
        gone, the newest whole checkpoint beside it.
    """
    last = None
    note = osp.join(path, 'last_checkpoint')
    if osp.isfile(note):
        with open(note) as file:
            last = file.read().strip()
        if last and '://' in last or _is_whole(last):
            return last
    candidates = [
        name for name in glob.glob(osp.join(path, '*.pth'))
        if not osp.basename(name).startswith('best_')
    ]
    for candidate in sorted(candidates, key=osp.getmtime, reverse=True):
        if _is_whole(candidate):
            print_log(
                f'{last or note} is missing or not whole; resuming from '
                f'{candidate}, the newest checkpoint that is', 'current',
                logging.WARNING)
            return candidate
    print_log(
        f'{path} has no whole checkpoint to resume from; the run starts '
        'anew', 'current', logging.WARNING)
    return None


def _is_whole(filename: str) -> bool:
    # torch writes zip archives, whose directory is at the end
    return osp.isfile(filename) and zipfile.is_zipfile(filename)


def keep_checkpoints_whole() -> None:
    """Have mmengine save and resume through this module."""
    LocalBackend.put = put_whole
    mmengine.runner.runner.find_latest_checkpoint = \
        find_latest_whole_checkpoint
