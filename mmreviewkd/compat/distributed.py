"""Several processes on a machine without GPU, over ``backend='gloo'``.

mmengine, from 0.8 to 0.10.7 and OneDL's 0.10.12, calls ``torch.cuda.set_device``
in each of its launchers, whatever the backend, and gives DistributedDataParallel
the GPU to use; both fail where there is none. torch, seen in 2.14.1, may then abort a
process that has done all its work: one of gloo's threads needs the interpreter
to let go of its last work, and until Python 3.14 a thread that asks for an
interpreter that is being taken down ends the process.
"""

import atexit
import functools
import time
from typing import Any, Callable

import torch
import torch.nn as nn
from mmengine.dist import utils
from mmengine.model import MMDistributedDataParallel


def _without_gpu(launch: Callable) -> Callable:
    """``launch``, which selects no GPU where there is none to select."""

    @functools.wraps(launch)
    def wrapper(backend: str, **kwargs: Any) -> None:
        if backend != 'gloo' or torch.cuda.is_available():
            return launch(backend, **kwargs)
        set_device = torch.cuda.set_device
        torch.cuda.set_device = lambda device: None
        try:
            launch(backend, **kwargs)
        finally:
            torch.cuda.set_device = set_device
        # the thread needs microseconds; torch offers nothing to wait for it
        atexit.register(time.sleep, 0.5)

    return wrapper


def _on_its_device(init: Callable) -> Callable:
    """``MMDistributedDataParallel.__init__`` for models on the CPU, too."""

    @functools.wraps(init)
    def wrapper(
        self: MMDistributedDataParallel, module: nn.Module, *args: Any, **kwargs: Any
    ) -> None:
        if all(p.device.type == 'cpu' for p in module.parameters()):
            kwargs['device_ids'] = None
        init(self, module, *args, **kwargs)

    return wrapper


def allow_gloo_without_gpu() -> None:
    """Let mmengine's launchers and DDP work where there is no GPU."""
    for name in ('_init_dist_pytorch', '_init_dist_mpi', '_init_dist_slurm'):
        setattr(utils, name, _without_gpu(getattr(utils, name)))
    MMDistributedDataParallel.__init__ = _on_its_device(
        MMDistributedDataParallel.__init__
    )
