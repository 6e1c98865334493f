"""Checks of work dir, GPU, launcher, loggers and strategy before a run starts."""

import os
import tempfile

import torch
from mmengine.config import Config

from ..compat.type_name import type_name
from ..errors import UserInputError
from .launchers import check_launcher
from .loggers import check_loggers


def check_machine(cfg: Config) -> None:
    """Check that work dir, GPU, launcher and loggers can be used, before a run.

    Raises:
        UserInputError: One cannot be used; the message names the folder, the launcher,
            the logger or the setting.
    """
    try:
        os.makedirs(cfg.work_dir, exist_ok=True)
        with tempfile.TemporaryFile(dir=cfg.work_dir):
            pass
    except OSError as error:
        raise UserInputError(
            f'cannot write to work dir {cfg.work_dir}: {error}'
        ) from None
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if cfg.launcher != 'none':
        check_launcher(cfg, gpus)
    # no others, such as CPUAmp
    if not gpus and type_name(cfg.get('optim_wrapper') or {}) == 'AmpOptimWrapper':
        raise UserInputError(
            "mmengine's mixed precision (--amp) needs a GPU, "
            f'and torch {torch.__version__} sees none here'
        )
    check_loggers(cfg)


def check_strategy(cfg: Config) -> None:
    """Refuse sharding strategies in which a distilled student cannot be trained.

    FSDP splits a model's parameters into flat pieces, and the teacher is outside of
    the model that it wraps. The two have not been tested together.

    Raises:
        UserInputError: The strategy is not supported; the message names the setting.
    """
    if type_name(cfg.model) != 'ReviewKD':
        return
    for key in ('strategy', 'model_wrapper_cfg'):
        name = type_name(cfg.get(key) or {})
        if 'FSDP' in name or 'FullySharded' in name:
            raise UserInputError(
                f'{key}=dict(type={name!r}) shards the model, which ReviewKD '
                "does not support; leave it out, or use FlexibleRunner's "
                "strategy=dict(type='DDPStrategy')"
            )
