"""Gets, checks and sets the random states of a process."""

import random
import struct
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import UserInputError


def random_state() -> dict:
    """Return the random states of this process as plain data.

    Returns:
        dict: ``torch`` and, if there is a GPU, ``cuda`` (of the current
        device) as uint8 tensors; ``numpy`` and ``python`` as tuples of numbers.
    """
    name, keys, position, has_gauss, gauss = np.random.get_state()
    state = dict(
        torch=torch.get_rng_state(),
        numpy=(name, keys.tolist(), int(position), int(has_gauss), float(gauss)),
        python=random.getstate(),
    )
    if torch.cuda.is_available():
        state['cuda'] = torch.cuda.get_rng_state()
    return state


def check_random_state(state: Any) -> None:
    """Refuse values that :func:`random_state` cannot have returned.

    NumPy and torch accept a damaged state, and then read beyond its end.

    Args:
        state (Any): Value from a checkpoint.

    Raises:
        UserInputError: A state is damaged; the message names it.
    """
    fresh = torch.Generator().get_state()
    for part, holds in (
        ('torch', _is_torch_state),
        ('numpy', _is_numpy_state),
        ('python', _is_python_state),
        ('cuda', _is_cuda_state),
    ):
        value = state.get(part) if isinstance(state, dict) else None
        if part == 'cuda' and value is None:
            continue  # saved without a GPU
        if not holds(value, fresh):
            raise UserInputError(
                f'its random_states have no state of {part} as this program saves it'
            )


def _is_torch_state(value: Any, fresh: Tensor) -> bool:
    if (
        not isinstance(value, Tensor)
        or value.dtype != torch.uint8
        or value.shape != fresh.shape
    ):
        return False
    # seed, number of values left, whether it is seeded, index of the next value
    left, _, position = struct.unpack_from('<iiQ', bytes(value.tolist()), 8)
    return 1 <= left <= 624 and 0 <= position <= 625 - left


def _is_numpy_state(value: Any, _: Tensor) -> bool:
    if not isinstance(value, tuple) or len(value) != 5:
        return False
    name, keys, position, has_gauss, gauss = value
    return (
        name == 'MT19937'
        and isinstance(keys, list)
        and len(keys) == 624
        and all(type(key) is int and 0 <= key < 2**32 for key in keys)
        and type(position) is int
        and 0 <= position <= 624
        and has_gauss in (0, 1)
        and type(gauss) is float
    )


def _is_python_state(value: Any, _: Tensor) -> bool:
    try:
        random.Random().setstate(value)  # setstate checks its argument
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def _is_cuda_state(value: Any, _: Tensor) -> bool:
    if (
        not isinstance(value, Tensor)
        or value.dtype != torch.uint8
        or value.shape != (16,)
    ):
        return False
    # the seed, and how many numbers have been drawn, in fours
    _, offset = struct.unpack('<QQ', bytes(value.tolist()))
    return offset % 4 == 0


def set_random_state(state: dict) -> None:
    """Set the random states that :func:`random_state` has returned."""
    # the checkpoint's tensors may have been loaded onto the GPU
    torch.set_rng_state(state['torch'].cpu())
    np.random.set_state(state['numpy'])
    random.setstate(state['python'])
    if state.get('cuda') is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state['cuda'].cpu())
