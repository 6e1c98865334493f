"""Two processes with half a batch each train as one with all of it."""

import os

from tests.support.classifiers import classifier
from tests.support.launching import free_port

import pytest
import torch
import torch.multiprocessing as mp
from mmdet.registry import MODELS
from mmengine.logging import MessageHub
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from torch import distributed as dist
from torch import nn
from torch.distributed.nn.functional import all_reduce


class GlobalBatchNorm(nn.BatchNorm2d):
    """SyncBatchNorm, which torch has for GPUs alone, written out."""

    def forward(self, x):
        if not self.training:
            return super().forward(x)
        moments = torch.stack([x, x**2]).mean((1, 3, 4))
        mean, square = all_reduce(moments) / dist.get_world_size()
        scale = self.weight * (square - mean**2 + self.eps).rsqrt()
        shift = self.bias - mean * scale
        return x * scale[:, None, None] + shift[:, None, None]


def convert(module):
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            synced = GlobalBatchNorm(child.num_features)
            synced.load_state_dict(child.state_dict())
            setattr(module, name, synced)
        else:
            convert(child)


def work(rank, world_size, port, teacher, weight, start, queue):
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    torch.set_num_threads(1)
    dist.init_process_group('gloo', rank=rank, world_size=world_size)
    init_default_scope('mmdet')
    model = MODELS.build(
        dict(
            type='ReviewKD',
            student=classifier(),
            teacher=teacher,
            review=dict(weight=weight),
            logits=dict(type='KDLoss'),
        )
    )
    model.load_state_dict(torch.load(start))
    convert(model)
    assert isinstance(model.review.levels[0].output.bn, GlobalBatchNorm)
    assert isinstance(model.backbone.bn1, GlobalBatchNorm)
    # no augmentation: its random numbers are each process's own
    model.data_preprocessor.padding = model.data_preprocessor.flip = 0
    ddp = MMDistributedDataParallel(model, broadcast_buffers=False)
    optimizer = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.01))
    torch.manual_seed(1)
    losses = []
    for step in range(10):
        MessageHub.get_current_instance().update_info('iter', step)
        images = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8)
        labels = torch.randint(0, 10, (8,))
        part = slice(rank * 8 // world_size, (rank + 1) * 8 // world_size)
        log = ddp.train_step(
            dict(inputs=images[part], data_samples=labels[part]), optimizer
        )
        loss = log['loss'].detach()
        dist.all_reduce(loss)
        losses.append(loss.item() / world_size)
    if rank == 0:
        queue.put(losses)
    dist.barrier()
    dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize('weight', [1.0, 'auto'])
def test_same_loss_for_ten_steps(weight, tmp_path):
    torch.manual_seed(0)
    cfg = classifier(14, (6, 6, 12, 24))
    torch.save(
        dict(state_dict=MODELS.build(cfg).state_dict()), tmp_path / 'teacher.pth'
    )
    teacher = dict(config=cfg, checkpoint=str(tmp_path / 'teacher.pth'))
    model = MODELS.build(
        dict(
            type='ReviewKD',
            student=classifier(),
            teacher=teacher,
            review=dict(weight=weight),
            logits=dict(type='KDLoss'),
        )
    )
    start = tmp_path / 'start.pth'
    torch.save(model.state_dict(), start)
    context = mp.get_context('spawn')
    runs = []
    for world_size in (1, 2):
        port = free_port()
        queue = context.Queue()
        processes = [
            context.Process(
                target=work,
                args=(rank, world_size, port, teacher, weight, start, queue),
            )
            for rank in range(world_size)
        ]
        for process in processes:
            process.start()
        runs.append(queue.get(timeout=120))
        for process in processes:
            process.join(60)
            assert process.exitcode == 0
    one, two = runs
    print('largest difference', max(abs(a - b) / a for a, b in zip(one, two)))
    assert len(set(one)) == 10
    torch.testing.assert_close(
        torch.tensor(two), torch.tensor(one), rtol=1e-5, atol=1e-5
    )
