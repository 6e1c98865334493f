"""Checks of work dir, GPU, launcher, loggers and strategy before a run starts."""

import os
import tempfile

import torch
from mmengine.config import Config

from ..compat.type_name import type_name
from ..errors import UserInputError
from .loggers import check_loggers

# for each launcher: its command, and the environment variables that it sets
_LAUNCHERS = dict(
    pytorch=('torchrun, as tools/dist_train.sh does', 'RANK', 'LOCAL_RANK'),
    slurm=('srun, as tools/slurm_train.sh does', 'SLURM_PROCID', 'SLURM_LOCALID'),
    mpi=('mpirun', 'OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_LOCAL_RANK'),
)


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
        _check_launcher(cfg, gpus)
    # no others, such as CPUAmp
    if not gpus and type_name(cfg.get('optim_wrapper') or {}) == 'AmpOptimWrapper':
        raise UserInputError(
            "mmengine's mixed precision (--amp) needs a GPU, "
            f'and torch {torch.__version__} sees none here'
        )
    check_loggers(cfg)


def _check_launcher(cfg: Config, gpus: int) -> None:
    command, rank, local_rank = _LAUNCHERS[cfg.launcher]
    sees = (
        f'--launcher {cfg.launcher} starts one process per GPU, and torch '
        f'{torch.__version__} sees'
    )
    dist_cfg = (cfg.get('env_cfg') or {}).get('dist_cfg') or {}
    if not gpus and dist_cfg.get('backend', 'nccl') != 'gloo':
        raise UserInputError(
            f'{sees} no GPU here. To run on the CPU: '
            '--cfg-options env_cfg.dist_cfg.backend=gloo'
        )
    if rank not in os.environ:
        raise UserInputError(
            f'--launcher {cfg.launcher}: {rank} is not set in the '
            f'environment; start the processes by {command}'
        )
    if gpus and int(os.environ.get(local_rank, 0)) >= gpus:
        raise UserInputError(
            f'{sees} {gpus} GPU here, too few for {local_rank}={os.environ[local_rank]}'
        )


def process_rank(cfg: Config) -> int:
    """Return the rank of this process before torch.distributed is initialised."""
    if cfg.launcher == 'none':
        return 0
    return int(os.environ[_LAUNCHERS[cfg.launcher][1]])


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
