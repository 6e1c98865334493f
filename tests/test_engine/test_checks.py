from mmreviewkd.engine.checks import check_machine, check_strategy
from mmreviewkd.errors import UserInputError
from tests.support.commands import call

import pytest
import torch
from mmengine._strategy import FSDPStrategy
from mmengine.config import Config
from mmengine.optim import AmpOptimWrapper, OptimWrapper

GLOO = dict(dist_cfg=dict(backend='gloo'))


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Checks a run on a machine with so many GPUs and these variables."""

    def check(gpus, launcher, env_cfg=None, optim_wrapper='OptimWrapper', **variables):
        monkeypatch.setattr(torch.cuda, 'is_available', lambda: gpus > 0)
        monkeypatch.setattr(torch.cuda, 'device_count', lambda: gpus)
        for name in ('RANK', 'SLURM_PROCID', 'OMPI_COMM_WORLD_RANK'):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        cfg = dict(work_dir=str(tmp_path), launcher=launcher, env_cfg=env_cfg)
        check_machine(Config(dict(cfg, optim_wrapper=dict(type=optim_wrapper))))

    return check


def test_launchers_where_there_are_gpus_or_gloo(machine):
    machine(0, 'none')
    machine(2, 'pytorch', RANK='5', LOCAL_RANK='1')
    machine(2, 'slurm', SLURM_PROCID='5', SLURM_LOCALID='1', LOCAL_RANK='7')
    machine(0, 'pytorch', GLOO, RANK='5', LOCAL_RANK='1')
    machine(0, 'slurm', GLOO, SLURM_PROCID='1')


@pytest.mark.parametrize('env_cfg', [None, dict(), dict(dist_cfg=dict(backend='nccl'))])
def test_without_gpu_the_backend_is_named(machine, env_cfg):
    with pytest.raises(UserInputError) as error:
        machine(0, 'pytorch', env_cfg, RANK='0', LOCAL_RANK='0')
    assert str(error.value) == (
        '--launcher pytorch starts one process per GPU, and torch '
        f'{torch.__version__} sees no GPU here. To run on the CPU: '
        '--cfg-options env_cfg.dist_cfg.backend=gloo'
    )


@pytest.mark.parametrize('optim_wrapper', ['AmpOptimWrapper', AmpOptimWrapper])
def test_mixed_precision_needs_a_gpu(machine, optim_wrapper):
    machine(1, 'none', optim_wrapper=optim_wrapper)
    with pytest.raises(UserInputError, match=r"^mmengine's mixed precision \(--amp\)"):
        machine(0, 'none', optim_wrapper=optim_wrapper)
    machine(0, 'none', optim_wrapper='CPUAmp')
    machine(0, 'none', optim_wrapper=OptimWrapper)


def test_more_processes_than_gpus(machine):
    with pytest.raises(
        UserInputError, match='sees 2 GPU here, too few for LOCAL_RANK=2$'
    ):
        machine(2, 'pytorch', RANK='2', LOCAL_RANK='2')
    with pytest.raises(UserInputError, match='SLURM_LOCALID=3$'):
        machine(2, 'slurm', SLURM_PROCID='3', SLURM_LOCALID='3')


@pytest.mark.parametrize(
    'launcher, name, command',
    [
        ('pytorch', 'RANK', 'torchrun, as tools/dist_train.sh does'),
        ('slurm', 'SLURM_PROCID', 'srun, as tools/slurm_train.sh does'),
        ('mpi', 'OMPI_COMM_WORLD_RANK', 'mpirun'),
    ],
)
def test_launcher_that_has_not_launched(machine, launcher, name, command):
    with pytest.raises(UserInputError) as error:
        machine(0, launcher, GLOO)
    assert str(error.value) == (
        f'--launcher {launcher}: {name} is not set in the environment; start '
        f'the processes by {command}'
    )


def test_sharding_is_refused_by_name(project):
    for options, key in (
        (
            ['runner_type=FlexibleRunner', 'strategy.type=FSDPStrategy'],
            "strategy=dict(type='FSDPStrategy')",
        ),
        (
            ['model_wrapper_cfg.type=MMFullyShardedDataParallel'],
            "model_wrapper_cfg=dict(type='MMFullyShardedDataParallel')",
        ),
    ):
        assert call(
            'train',
            project / 'distil.py',
            '--work-dir',
            project / 'run',
            '--cfg-options',
            *options,
        ) == (
            f'error: {key} shards the model, which ReviewKD does not support; '
            "leave it out, or use FlexibleRunner's "
            "strategy=dict(type='DDPStrategy')"
        )
    cfg = Config(dict(model=dict(type='ReviewKD'), strategy=dict(type=FSDPStrategy)))
    with pytest.raises(UserInputError, match='FSDPStrategy'):
        check_strategy(cfg)
    cfg.strategy.type = 'DDPStrategy'
    check_strategy(cfg)
    # a plain student's run is mmengine's own affair
    check_strategy(
        Config(dict(model=dict(type='FasterRCNN'), strategy=dict(type=FSDPStrategy)))
    )
