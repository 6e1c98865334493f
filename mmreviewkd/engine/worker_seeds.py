"""The random state of the processes that load data."""

import contextlib
import random
from typing import Any, Callable, Optional

import numpy as np
import torch
from torch.utils.data import get_worker_info


class WorkerSeeds:
    """Let a worker's draws depend on seed, process, worker and epoch alone.

    An object of this class is a ``worker_init_fn`` of a data loader.
    mmengine's own gives a worker the same seed whenever it starts, and a
    persistent one goes on from epoch to epoch, which no checkpoint can know.
    Here every epoch's first item seeds a worker anew, whether it has just
    started or not.

    Args:
        init_fn (callable, optional): The ``worker_init_fn`` that there was; it
            is called first.
        seed (int): Of the run.
        rank (int): Of the process whose workers they are.
    """

    def __init__(
        self, init_fn: Optional[Callable[[int], None]], seed: int, rank: int
    ) -> None:
        self.init_fn, self.seed, self.rank = init_fn, seed, rank
        # shared with the workers, whether they are forked or spawned
        self.epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def begin(self, epoch: int) -> None:
        """Say that an epoch begins, before its first batch is asked for."""
        self.epoch.fill_(epoch)

    def __call__(self, worker_id: int) -> None:
        """Prepare a worker, in its own process."""
        if self.init_fn is not None:
            self.init_fn(worker_id)
        current: Optional[int] = None

        def seed_anew() -> None:
            nonlocal current
            epoch = int(self.epoch)
            if epoch != current:
                current = epoch
                self._seed(worker_id, epoch)

        # a copy of the process's own; torch passes no other way into the
        # loop that draws the items
        worker = get_worker_info()
        assert worker is not None  # this runs in a worker
        dataset = worker.dataset
        with contextlib.suppress(TypeError):  # a list, which draws nothing
            dataset.__class__ = _calling_first(type(dataset), seed_anew)

    def _seed(self, worker_id: int, epoch: int) -> None:
        sequence = np.random.SeedSequence((self.seed, self.rank, worker_id, epoch))
        python_seed, numpy_seed, torch_seed = sequence.generate_state(3).tolist()
        random.seed(python_seed)
        np.random.seed(numpy_seed)
        torch.manual_seed(torch_seed)


def _calling_first(cls: type, function: Callable[[], None]) -> type:
    """A class that calls the function before each of its items is made."""

    def calling_first(method: Callable) -> Callable:

        def made(self: Any, index: Any) -> Any:
            function()
            return method(self, index)

        return made

    members = {
        name: calling_first(getattr(cls, name))
        # torch asks for a batch at once where a dataset has the latter
        for name in ('__getitem__', '__getitems__')
        if hasattr(cls, name)
    }
    # without slots of its own the layout is the same
    return type(
        cls.__name__, (cls,), {**members, '__slots__': (), '__module__': cls.__module__}
    )
