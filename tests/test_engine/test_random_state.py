"""Random states: taken, set again, and refused where they are none."""

import random

from mmreviewkd.engine.random_state import (
    check_random_state,
    random_state,
    set_random_state,
)
from mmreviewkd.errors import UserInputError

import numpy as np
import pytest
import torch


def draw():
    return (
        torch.rand(3).tolist(),
        torch.randn(1).item(),
        np.random.rand(3).tolist(),
        np.random.randn(),
        random.random(),
        random.gauss(0, 1),
    )


def test_the_same_is_drawn_from_a_state_that_is_set_again():
    draw()  # half of a pair of normal numbers is kept for the next call
    state = random_state()
    check_random_state(state)
    first, second = draw(), draw()
    assert first != second
    set_random_state(state)
    assert (draw(), draw()) == (first, second)


def changed(part, value):
    return dict(random_state(), **{part: value})


@pytest.mark.parametrize(
    'part, value',
    [
        ('torch', torch.zeros(5056, dtype=torch.uint8)),  # none of 624 is left
        ('torch', torch.zeros(5055, dtype=torch.uint8)),
        ('torch', torch.zeros(5056)),
        ('numpy', ('MT19937', [0] * 623, 0, 0, 0.0)),
        ('numpy', ('MT19937', [2**32] * 624, 0, 0, 0.0)),
        ('numpy', ('MT19937', [0] * 624, 625, 0, 0.0)),
        ('numpy', ('PCG64', [0] * 624, 0, 0, 0.0)),
        ('python', (3, (0,) * 624, None)),
        ('python', None),
        ('cuda', torch.zeros(8, dtype=torch.uint8)),
        ('cuda', torch.zeros(16)),
        ('cuda', torch.ones(16, dtype=torch.uint8)),  # no multiple of 4
        ('cuda', 'x'),
    ],
)
def test_what_is_none_is_refused_by_its_name(part, value):
    with pytest.raises(UserInputError, match=f'no state of {part} as this program'):
        check_random_state(changed(part, value))


def test_a_state_of_the_gpu_is_there_or_not():
    for value in (torch.full((16,), 4, dtype=torch.uint8), None):
        check_random_state(changed('cuda', value))
