"""Checkpoint files as people have them, all of which must load.

``python -m tests.support.honest_files FOLDER`` writes them, with any torch.
"""

import sys
from collections import Counter, OrderedDict
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import HistoryBuffer


def model():
    """A model with the same weights on every torch."""
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    for i, value in enumerate(net.state_dict().values()):
        value.copy_(torch.arange(value.numel()).view_as(value) + i)
    return net


def weights():
    return OrderedDict(model().state_dict())


def after_a_step(optimizer_type, **kwargs):
    net = model()
    optimizer = optimizer_type(net.parameters(), **kwargs)
    for parameter in net.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    return optimizer.state_dict()


def of_a_run():
    """What mmengine's Runner saves."""
    return dict(
        meta=dict(
            cfg='model = dict()',
            seed=0,
            epoch=1,
            iter=10,
            dataset_meta=dict(classes=('a', 'b'), palette=[(1, 2, 3)]),
        ),
        state_dict=weights(),
        message_hub=dict(
            log_scalars={'train/loss': HistoryBuffer([4.0, 2.0], [1, 3])},
            runtime_info=dict(iter=10),
            resumed_keys={'iter': True},
        ),
        optimizer=after_a_step(torch.optim.SGD, lr=0.1, momentum=0.9),
        param_schedulers=[dict(milestones=Counter({8: 1, 11: 1}), gamma=0.1)],
    )


def of_mmdet_2():
    return dict(
        meta=dict(
            env_info='sys.platform: linux',
            config='model = dict()',
            seed=None,
            exp_name='a.py',
            epoch=12,
            iter=100,
            mmcv_version='1.3.3',
            time='Mon',
            CLASSES=('a', 'b'),
            PALETTE=[(220, 20, 60)],
            hook_msgs=dict(),
        ),
        state_dict=weights(),
        optimizer=after_a_step(torch.optim.SGD, lr=0.1, momentum=0.9),
    )


def of_mixed_precision():
    """With the state of AmpOptimWrapper's GradScaler."""
    return dict(
        of_a_run(),
        optimizer=dict(
            after_a_step(torch.optim.AdamW, lr=1e-3),
            loss_scaler=dict(
                scale=65536.0,
                growth_factor=2.0,
                backoff_factor=0.5,
                growth_interval=2000,
                _growth_tracker=3,
            ),
        ),
    )


def of_an_average():
    """With mmengine's EMAHook."""
    ema = {f'module.{key}': value for key, value in weights().items()}
    return dict(of_a_run(), ema_state_dict=dict(ema, steps=torch.tensor(5)))


def tensors_of_all_kinds():
    base = torch.arange(24.0)
    return dict(
        state_dict={
            'transposed': base.view(4, 6).t(),
            'part': base[5:9],
            'expanded': base[:1].expand(3),
            'shared': base,
            'empty': torch.empty(0, 3),
            'scalar': torch.tensor(3),
            'half': base.half(),
            'bfloat16': base.bfloat16(),
            'double': base.double(),
            'bool': base > 3,
            'int8': base.char(),
            'uint8': base.byte(),
            'complex': torch.complex(base, base),
            'parameter': torch.nn.Parameter(base),
            'buffer': torch.nn.Parameter(base, requires_grad=False),
        }
    )


def numpy_values():
    return dict(
        best=np.float64(0.25),
        seen=np.int64(7),
        flag=np.bool_(True),
        array=np.arange(6, dtype=np.int32).reshape(2, 3),
        fortran=np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        big_endian=np.arange(3, dtype='>f4'),
        nothing=np.zeros((0, 2)),
    )


def plain_values():
    return dict(
        a=[1, -1, 2**40, 2**80, 1.5, True, None, 'x', 'é'],
        b=(torch.Size([1, 2]), torch.float16, torch.device('cpu')),
        c={1: {2, 3}, None: complex(1, 2)},
        d=OrderedDict(z=1, y=2),
    )


def save(content, zipped=True, **kwargs):

    def write(path):
        torch.save(content, path, _use_new_zipfile_serialization=zipped, **kwargs)

    return write


CONTENTS = dict(
    run=of_a_run,
    mmdet_2=of_mmdet_2,
    amp=of_mixed_precision,
    ema=of_an_average,
    weights=weights,
    tensors=tensors_of_all_kinds,
    numpy=numpy_values,
    plain=plain_values,
    public=lambda: dict(model=weights(), best_acc=0.7, epoch=240),
    parallel=lambda: dict(
        state_dict={f'module.{key}': value for key, value in weights().items()}
    ),
    random_state=lambda: dict(
        torch=torch.arange(5056).byte(), python=(3, tuple(range(625)), None)
    ),
)
"""What the files hold, by name."""

FILES = {
    f'{name}{suffix}.pth': (name, kwargs)
    for name in CONTENTS
    for suffix, kwargs in (
        ('', dict()),
        ('_legacy', dict(zipped=False)),
        ('_protocol_4', dict(pickle_protocol=4)),
    )
    # protocol 4, which nobody uses for them, writes logs and sets otherwise
    if not (suffix == '_protocol_4' and name in ('run', 'amp', 'ema', 'plain'))
}


def write_all(folder):
    for file, (name, kwargs) in FILES.items():
        save(CONTENTS[name](), **kwargs)(Path(folder) / file)


if __name__ == '__main__':
    write_all(sys.argv[1])
