"""Checks before a run whether teacher and student fit each other."""

import gc
import logging
import os.path as osp

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.logging import MMLogger, print_log
from mmengine.registry import DefaultScope

from ..compat.type_name import type_name
from ..models.configs import distiller_config, model_config, student_config


def check_pair(cfg: Config) -> None:
    """Build the distilled student that the runner will build, and discard it.

    So a pair that does not fit is refused before any log or file is written. The
    build logs only warnings, and does not change torch's random state.

    Args:
        cfg (Config): Config with a ReviewKD model.

    Raises:
        UserInputError: The models do not fit each other, a checkpoint does
            not fit its model, or a setting cannot be used.
    """
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(max(level, logging.WARNING))
    try:
        with (
            torch.random.fork_rng(devices=[]),
            DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmdet')),
        ):
            MODELS.build(distiller_config(cfg))
    finally:
        logger.setLevel(level)
        gc.collect()


def warn_if_alike(cfg: Config) -> None:
    """Log a warning if the student has little or nothing to learn from the teacher.

    Args:
        cfg (Config): Config with a ReviewKD model.
    """
    if type_name(cfg.model) != 'ReviewKD':
        return
    teacher = cfg.model['teacher']
    if student_config(cfg) != model_config(teacher['config']):
        return
    weights = cfg.get('load_from')
    if weights and _place(weights) == _place(teacher['checkpoint']):
        message = (
            'There is nothing to learn: teacher and student have the '
            f'same config and the same weights, {weights}'
        )
    else:
        message = 'The student is as large as the teacher: both have the same config'
    print_log(message, 'current', logging.WARNING)


def _place(file: str) -> str:
    return osp.realpath(file) if osp.exists(file) else file
