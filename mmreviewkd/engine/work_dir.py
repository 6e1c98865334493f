"""Locks a work dir, so that only one run uses it at a time."""

import functools
import glob
import logging
import os.path as osp
from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout
from mmengine.config import Config
from mmengine.logging import print_log

from ..compat.saving import remove_parts
from ..errors import UserInputError
from .launchers import process_rank

# data loading workers live on for 5 seconds after their run is killed, and with
# older versions of filelock they hold its lock during that time
PATIENCE = 10
"""Seconds that a run waits for the previous one to release the lock."""


@contextmanager
def locked_work_dir(cfg: Config) -> Iterator[None]:
    """Keep other runs out of the config's work dir.

    It is the kernel's lock, so a killed run does not leave it behind. The process
    that holds the lock may take it again. Then parts of checkpoints that killed runs
    have left are removed.

    Args:
        cfg (Config): Config with ``work_dir``, an existing folder, and ``launcher``.
            Of several processes, only the first takes the lock.

    Raises:
        UserInputError: Another run holds the lock.
    """
    if process_rank(cfg):
        yield
        return
    lock = _lock(osp.abspath(cfg.work_dir))
    try:
        _acquire(lock, cfg.work_dir)
    except Timeout:
        raise UserInputError(
            f'another run is going on in work dir {cfg.work_dir}: give this '
            'one another --work-dir, or end the other first'
        ) from None
    except (OSError, NotImplementedError) as error:
        print_log(
            f'{cfg.work_dir} cannot be locked ({error}); see to it that no '
            'other run uses it',
            'current',
            logging.WARNING,
        )
        yield
        return
    try:
        remove_parts(cfg.work_dir)
        yield
    finally:
        lock.release()


def _acquire(lock: FileLock, work_dir: str) -> None:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print_log(
            f'waiting {PATIENCE} s for another run in {work_dir} to end', 'current'
        )
        lock.acquire(timeout=PATIENCE)


@functools.cache
def _lock(work_dir: str) -> FileLock:
    # one object per folder, since it counts how often it was taken
    return FileLock(osp.join(work_dir, 'train.lock'))


def holds_run(work_dir: str) -> bool:
    """Whether a run has trained in the folder, and left checkpoints or a log of losses.

    The files of a start that failed before its first step do not count.
    """
    return any(
        glob.glob(osp.join(glob.escape(work_dir), pattern))
        for pattern in (
            'last_checkpoint',
            'epoch_*.pth',
            'iter_*.pth',
            'best_*.pth',
            '[0-9]*_[0-9]*/vis_data/scalars.json',
        )
    )
