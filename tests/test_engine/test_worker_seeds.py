"""What a worker draws depends on seed, process, worker and epoch alone."""

import random

from mmreviewkd.engine.worker_seeds import WorkerSeeds

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset


class Drawn(Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        return [random.random(), np.random.rand(), float(torch.rand(()))]


class DrawnInBatches(Drawn):
    def __getitems__(self, indices):
        return [self[index] for index in indices]


def warn(worker_id):
    """The init function that there was; it seeds, as mmengine's does."""
    random.seed(worker_id)
    np.random.seed(worker_id)
    torch.manual_seed(worker_id)


def epochs(
    *numbers,
    dataset=None,
    persistent=True,
    context=None,
    init_fn=None,
    workers=2,
    **identity,
):
    """What is drawn in each of these epochs, with a loader of their own."""
    seeds = WorkerSeeds(init_fn, **{**dict(seed=1, rank=0), **identity})
    loader = DataLoader(
        Drawn() if dataset is None else dataset,
        num_workers=workers,
        worker_init_fn=seeds,
        persistent_workers=persistent,
        multiprocessing_context=context,
        collate_fn=list,
    )
    drawn = []
    for epoch in numbers:
        seeds.begin(epoch)
        drawn.append([tuple(item) for (item,) in loader])
    return drawn


@pytest.mark.parametrize('dataset', [Drawn(), DrawnInBatches()])
@pytest.mark.parametrize('persistent', [True, False])
def test_an_epoch_does_not_depend_on_those_before(dataset, persistent):
    first, second = epochs(0, 1, dataset=dataset, persistent=persistent, init_fn=warn)
    assert epochs(1) == [second]
    # no epoch, worker, item or generator repeats another
    assert len({n for item in first + second for n in item}) == 2 * 4 * 3


def test_seed_and_process_matter():
    runs = [epochs(0), epochs(0, seed=2), epochs(0, rank=1)]
    assert (
        len({n for ((*items,),) in runs for item in items for n in item}) == 3 * 4 * 3
    )


def test_a_dataset_that_is_a_list():
    assert epochs(0, 1, dataset=[[1], [2]], init_fn=warn) == [[(1,), (2,)]] * 2


@pytest.mark.slow
def test_spawned_workers_draw_the_same():
    assert epochs(0, 1, context='spawn') == epochs(0, 1, context='fork')
