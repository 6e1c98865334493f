"""Launchers, which start one process for each GPU."""

import os

import torch
from mmengine.config import Config

from ..errors import UserInputError

# for each launcher: its command, and the environment variables that it sets
_LAUNCHERS = dict(
    pytorch=('torchrun, as tools/dist_train.sh does', 'RANK', 'LOCAL_RANK'),
    slurm=('srun, as tools/slurm_train.sh does', 'SLURM_PROCID', 'SLURM_LOCALID'),
    mpi=('mpirun', 'OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_LOCAL_RANK'),
)


def check_launcher(cfg: Config, gpus: int) -> None:
    """Check that the config's launcher has started this process, on a GPU of its own.

    Args:
        cfg (Config): Config of the run.
        gpus (int): Number of GPUs that torch sees.

    Raises:
        UserInputError: The launcher did not start this process, or there are fewer
            GPUs than processes.
    """
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
