"""One process of one: what mmengine's launchers do where there is no GPU."""

import os

from mmreviewkd.compat.saving import plain_state_dict
from tests.support.launching import free_port

import pytest
import torch
from mmengine.dist import init_dist
from mmengine.model import MMDistributedDataParallel
from torch import distributed

pytestmark = pytest.mark.skipif(
    torch.cuda.is_available(), reason='on a GPU mmengine is left as it is'
)


@pytest.mark.parametrize('launcher', ['pytorch', 'slurm', 'mpi'])
def test_launcher_and_ddp_over_gloo(monkeypatch, launcher):
    monkeypatch.setattr(os, 'environ', dict(os.environ))
    os.environ.update(
        MASTER_ADDR='127.0.0.1',
        MASTER_PORT=str(free_port()),
        RANK='0',
        LOCAL_RANK='0',
        WORLD_SIZE='1',
        SLURM_PROCID='0',
        SLURM_LOCALID='0',
        SLURM_NTASKS='1',
        SLURM_NODELIST='node',
        OMPI_COMM_WORLD_LOCAL_RANK='0',
        OMPI_COMM_WORLD_RANK='0',
        OMPI_COMM_WORLD_SIZE='1',
    )
    set_device = torch.cuda.set_device
    init_dist(launcher, 'gloo')
    try:
        assert torch.cuda.set_device is set_device
        assert distributed.get_backend() == 'gloo'
        # as mmengine's runners wrap a model
        model = MMDistributedDataParallel(module=torch.nn.Linear(2, 1), device_ids=[0])
        assert model.device_ids is None
        assert model(torch.ones(1, 2)).shape == (1, 1)
        strategy = type('Strategy', (), dict(model=model))
        assert set(plain_state_dict(strategy)) == {'weight', 'bias'}
    finally:
        distributed.destroy_process_group()


def test_nccl_is_left_as_it_is(monkeypatch):
    monkeypatch.setattr(os, 'environ', dict(os.environ, RANK='0', LOCAL_RANK='0'))
    with pytest.raises((RuntimeError, AttributeError, AssertionError)):
        init_dist('pytorch', 'nccl')
    assert not distributed.is_initialized()
