"""Two processes: as one with their batches, and no traffic for the teacher."""

import copy
import os

from tests.support.detectors import tiny_detector
from tests.support.launching import free_port

import pytest
import torch
import torch.multiprocessing as mp
from mmdet.registry import MODELS
from mmdet.testing import demo_mm_inputs
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from torch import distributed as dist

LEVELS = (8, 16, 32)
"""Of an image of 128x192; on the few cells of deeper levels BatchNorm blows
rounding up."""


def build(teacher, **levels):
    return MODELS.build(
        dict(
            type='ReviewKD',
            student=tiny_detector('retinanet'),
            teacher=teacher,
            review=dict(weight=1.0, **levels),
        )
    )


def image(count):
    """The same image ``count`` times: BatchNorm sees what one alone shows."""
    data = demo_mm_inputs(1, [[3, 128, 192]], num_classes=2)
    return {
        key: [copy.deepcopy(value[0]) for _ in range(count)]
        for key, value in data.items()
    }


def train(model, module, data, steps=10):
    optimizer = OptimWrapper(torch.optim.SGD(module.parameters(), lr=0.01))
    return [
        model.train_step(copy.deepcopy(data), optimizer)['loss'].item()
        for _ in range(steps)
    ]


def work(rank, port, teacher, start, queue):
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    torch.set_num_threads(1)
    dist.init_process_group('gloo', rank=rank, world_size=2)
    init_default_scope('mmdet')
    torch.manual_seed(rank)  # DDP must bring the two to one start
    model = build(teacher, strides=LEVELS)
    model.load_state_dict(torch.load(start))
    steps = train(MMDistributedDataParallel(model), model, image(1))
    model = build(teacher)
    # no find_unused_parameters: every parameter has a gradient
    ddp = MMDistributedDataParallel(model, broadcast_buffers=True)
    optimizer = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.01))
    data = demo_mm_inputs(1, [[3, 64, 64 + 32 * rank]], num_classes=2)
    for _ in range(3):
        log = ddp.train_step(data, optimizer)
    sizes = dict(
        reduced=sum(p.numel() for p in ddp.parameters() if p.requires_grad),
        buffers=sum(b.numel() for b in ddp.modules_buffers),
    )
    queue.put(
        (
            rank,
            log['loss_review'].item(),
            sizes,
            steps,
            {
                name: value.detach().clone().numpy()
                for name, value in model.named_parameters()
            },
        )
    )
    dist.barrier()
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes(teachers, distiller, tmp_path):
    single = build(teachers['retinanet'], strides=LEVELS)
    single.init_weights()
    torch.save(single.state_dict(), tmp_path / 'start.pth')
    port = free_port()
    context = mp.get_context('spawn')
    queue = context.Queue()
    processes = [
        context.Process(
            target=work,
            args=(rank, port, teachers['retinanet'], tmp_path / 'start.pth', queue),
        )
        for rank in range(2)
    ]
    for process in processes:
        process.start()
    results = sorted(
        (queue.get(timeout=120) for _ in range(2)), key=lambda result: result[0]
    )
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    (_, loss_0, sizes, steps, parameters_0), (_, loss_1, _, _, parameters_1) = results
    expected = train(single, single, image(2))
    assert len(set(expected)) == 10
    print('largest difference', max(abs(a - b) / b for a, b in zip(steps, expected)))
    torch.testing.assert_close(
        torch.tensor(steps), torch.tensor(expected), rtol=1e-5, atol=1e-5
    )
    assert loss_0 != loss_1  # each had an image of its own
    for name, value in parameters_0.items():
        assert (value == parameters_1[name]).all(), name
    model = distiller('retinanet')
    plain = MODELS.build(tiny_detector('retinanet'))
    assert sizes == dict(
        reduced=sum(p.numel() for m in (plain, model.review) for p in m.parameters()),
        buffers=sum(b.numel() for m in (plain, model.review) for b in m.buffers()),
    )
