"""Checks that the training data tell methods the index of each image."""

from mmengine.runner import Runner
from torch.utils.data import DataLoader

from ..compat.unwrap import unwrap
from ..models import Distilled
from ..models.adapters import adapter_of
from .random_state import random_state, set_random_state


def check_indices(runner: Runner) -> None:
    """Look for the index of the first training image, if a method reads indices.

    The image is loaded as in training, which takes in pipelines and wrappers of all
    kinds; random states stay as they are. Data in a form of their own, other than
    ``dict(inputs=..., data_samples=...)``, are left to the first batch.

    Args:
        runner (Runner): Runner whose data have been built, about to train.

    Raises:
        UserInputError: The data do not tell the index.
    """
    # a FlexibleRunner builds its model as late as in training
    model = unwrap(runner.model)
    if not isinstance(model, Distilled):
        return
    methods = [getattr(model, name) for name in model.distillation.methods]
    if not any(each.weight > 0 and 'sample_idx' in each.reads for each in methods):
        return
    loader, state = runner.train_loop.dataloader, random_state()
    try:
        batch = next(iter(DataLoader(loader.dataset, collate_fn=loader.collate_fn)))
    finally:
        set_random_state(state)
    if isinstance(batch, dict) and 'data_samples' in batch:
        adapter_of(model).sample_idx(batch['data_samples'])
