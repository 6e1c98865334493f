"""Makes several processes work on a machine without GPU, with ``backend='gloo'``.

mmengine, from 0.8 to 0.10.7 and OneDL's 0.10.12, calls ``torch.cuda.set_device``
in each of its launchers, whatever the backend, and passes a GPU to
DistributedDataParallel. Both fail without a GPU. In addition, torch (seen in 2.14.1)
may abort a process that has finished: a thread of gloo needs the interpreter to
release its last work, and before Python 3.14 a thread that needs an interpreter
that is shutting down ends the process.
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
    """Wrap ``launch`` so that it selects no GPU if there is none."""

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
        # gloo's thread needs microseconds, and torch has no way to wait for it
        atexit.register(time.sleep, 0.5)

    return wrapper


def _on_its_device(init: Callable) -> Callable:
    """Make ``MMDistributedDataParallel.__init__`` work for models on the CPU, too."""

    @functools.wraps(init)
    def wrapper(
        self: MMDistributedDataParallel, module: nn.Module, *args: Any, **kwargs: Any
    ) -> None:
        if all(p.device.type == 'cpu' for p in module.parameters()):
            kwargs['device_ids'] = None
        init(self, module, *args, **kwargs)

    return wrapper


def allow_gloo_without_gpu() -> None:
    """Make mmengine's launchers and DDP work without a GPU."""
    for name in ('_init_dist_pytorch', '_init_dist_mpi', '_init_dist_slurm'):
        setattr(utils, name, _without_gpu(getattr(utils, name)))
    MMDistributedDataParallel.__init__ = _on_its_device(
        MMDistributedDataParallel.__init__
    )
