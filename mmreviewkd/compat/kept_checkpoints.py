"""Lets a run remove only its own checkpoints.

mmengine's CheckpointHook (0.10.7) reads from a resumed file which checkpoint was
the best, and removes that file *or folder* once there is a better one.
"""

import functools
import logging
import os.path as osp
from typing import Any

from mmengine.hooks import CheckpointHook
from mmengine.logging import print_log
from mmengine.runner import Runner


def keep_what_is_not_the_runs_own() -> None:
    """Make CheckpointHook forget checkpoints outside its own folder."""
    before_train = CheckpointHook.before_train
    if hasattr(before_train, '__wrapped__'):
        return

    @functools.wraps(before_train)
    def checked(self: CheckpointHook, runner: Runner) -> None:
        info = runner.message_hub.runtime_info
        folder = runner.work_dir
        if self.out_dir not in (None, folder):
            # the hook itself builds its folder in this way
            folder = osp.join(self.out_dir, osp.basename(folder.rstrip('/')))
        for key in list(info):
            own = True
            if key.startswith('best_ckpt'):
                own = info[key] is None or _lies_in(info[key], folder)
            elif key == 'keep_ckpt_ids':
                own = isinstance(info[key], list) and all(
                    type(step) is int for step in info[key]
                )
            if not own:
                print_log(
                    f'The resumed checkpoint has a {key} that is none of this '
                    "run's in its work dir; it is left alone",
                    'current',
                    logging.WARNING,
                )
                del info[key]
        before_train(self, runner)

    CheckpointHook.before_train = checked


def _lies_in(path: Any, folder: str) -> bool:
    """Whether a path is a checkpoint directly in a folder."""
    if type(path) is not str or not path.endswith('.pth'):
        return False
    if '://' in folder:
        return osp.dirname(path) == folder.rstrip('/')
    return not osp.isdir(path) and osp.realpath(osp.dirname(path)) == osp.realpath(
        folder
    )
