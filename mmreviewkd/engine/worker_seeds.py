"""Seeds the processes that load data."""

import contextlib
import random
from typing import Any, Callable, Optional

import numpy as np
import torch
from torch.utils.data import get_worker_info


class WorkerSeeds:
    """Make a worker's random numbers depend only on seed, process, worker and epoch.

    An instance is the ``worker_init_fn`` of a data loader. mmengine's own function
    gives a worker the same seed whenever it starts, and a persistent worker goes on
    from epoch to epoch with a state that no checkpoint contains. Here each worker is
    seeded before the first item of every epoch, whether or not it has just started.

    Args:
        init_fn (callable, optional): The previous ``worker_init_fn``, which is
            called first.
        seed (int): Seed of the run.
        rank (int): Rank of the process that the workers belong to.
    """

    def __init__(
        self, init_fn: Optional[Callable[[int], None]], seed: int, rank: int
    ) -> None:
        self.init_fn, self.seed, self.rank = init_fn, seed, rank
        # in memory shared with the workers, whether they are forked or spawned
        self.epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def begin(self, epoch: int) -> None:
        """Tell the workers that an epoch begins, before its first batch is loaded."""
        self.epoch.fill_(epoch)

    def __call__(self, worker_id: int) -> None:
        """Prepare a worker; called in the worker's process."""
        if self.init_fn is not None:
            self.init_fn(worker_id)
        current: Optional[int] = None

        def seed_anew() -> None:
            nonlocal current
            epoch = int(self.epoch)
            if epoch != current:
                current = epoch
                self._seed(worker_id, epoch)

        # This is the worker's own copy of the dataset. torch has no other hook
        # into the loop that gets the items.
        worker = get_worker_info()
        assert worker is not None  # this runs in a worker
        dataset = worker.dataset
        with contextlib.suppress(TypeError):  # fails for a list, which needs none
            dataset.__class__ = _calling_first(type(dataset), seed_anew)

    def _seed(self, worker_id: int, epoch: int) -> None:
        sequence = np.random.SeedSequence((self.seed, self.rank, worker_id, epoch))
        python_seed, numpy_seed, torch_seed = sequence.generate_state(3).tolist()
        random.seed(python_seed)
        np.random.seed(numpy_seed)
        torch.manual_seed(torch_seed)


def _calling_first(cls: type, function: Callable[[], None]) -> type:
    """Derive a class that calls the function before it makes each item."""

    def calling_first(method: Callable) -> Callable:

        def made(self: Any, index: Any) -> Any:
            function()
            return method(self, index)

        return made

    members = {
        name: calling_first(getattr(cls, name))
        # if a dataset has the latter, torch gets whole batches from it
        for name in ('__getitem__', '__getitems__')
        if hasattr(cls, name)
    }
    # __class__ can only be set to a class of the same layout, so no new slots
    return type(
        cls.__name__, (cls,), {**members, '__slots__': (), '__module__': cls.__module__}
    )
