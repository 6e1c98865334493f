"""The random states of a process, to be saved and set again."""
import random

import numpy as np
import torch


def random_state() -> dict:
    """Random states of this process, as plain data.

    Returns:
        dict: ``torch`` and, where there is a GPU, ``cuda`` (of the current
        device): uint8 tensors; ``numpy`` and ``python``: tuples of numbers.
    """
    name, keys, position, has_gauss, gauss = np.random.get_state()
    state = dict(
        torch=torch.get_rng_state(),
        numpy=(name, keys.tolist(), int(position), int(has_gauss),
               float(gauss)),
        python=random.getstate())
    if torch.cuda.is_available():
        state['cuda'] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: dict) -> None:
    """Set what :func:`random_state` has returned."""
    # a checkpoint's tensors may have been loaded to the GPU
    torch.set_rng_state(state['torch'].cpu())
    np.random.set_state(state['numpy'])
    random.setstate(state['python'])
    if 'cuda' in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state['cuda'].cpu())
