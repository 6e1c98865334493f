"""Review-KD against the numbers of an independent implementation.

The numbers lie beside the repository and are no part of it; without them
there is nothing to compare. Level 0 is the shallowest.
"""

from mmreviewkd.methods import Review, hcl_loss
from tests.support.paths import ROOT

import numpy as np
import pytest
import torch

FOLDER = ROOT.parent / 'shared' / 'parity'
TOLERANCE = dict(rtol=1e-9, atol=1e-9)

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason='the parity files are not on this machine'
)


def load(path):
    with np.load(path) as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


def numbered(numbers, name):
    """``name0``, ``name1``, ..."""
    return [
        numbers[f'{name}{i}']
        for i in range(sum(key.startswith(name) for key in numbers))
    ]


@pytest.mark.parametrize(
    'name', [path.stem for path in sorted(FOLDER.glob('*.npz')) if path.stem != 'hcl']
)
def test_review(name):
    numbers = load(FOLDER / f'{name}.npz')
    students = numbered(numbers, 'student')
    teachers = numbered(numbers, 'teacher')
    weights = {
        key.replace('level', 'levels.', 1): value
        for key, value in numbers.items()
        if key.startswith('level') and not key.startswith('level_loss')
    }
    review = Review(
        [x.size(1) for x in students],
        [x.size(1) for x in teachers],
        weights['levels.0.reduce.conv.weight'].size(0),
    ).double()
    # the files hold every weight, but no counters
    assert all(
        'num_batches_tracked' in key or '_extra_state' in key
        for key in set(review.state_dict()) - set(weights)
    )
    weights = {**review.state_dict(), **weights}
    review.load_state_dict(weights)
    review.train('eval' not in name)

    reviewed = review(students, [x.shape[-2:] for x in teachers])
    torch.testing.assert_close(reviewed, numbered(numbers, 'reviewed'), **TOLERANCE)

    # the forward pass above moved the statistics; the files' are older
    review.load_state_dict(weights)
    students = [x.requires_grad_() for x in students]
    losses = review.loss(students, teachers)
    torch.testing.assert_close(
        losses, torch.stack(numbered(numbers, 'level_loss')), **TOLERANCE
    )
    torch.testing.assert_close(losses.sum(), numbers['loss'], **TOLERANCE)

    losses.sum().backward()
    torch.testing.assert_close(
        [x.grad for x in students], numbered(numbers, 'grad_student'), **TOLERANCE
    )
    torch.testing.assert_close(
        review.levels[0].output.conv.weight.grad,
        numbers['grad_level0.output.conv.weight'],
        **TOLERANCE,
    )


def test_hcl():
    numbers = load(FOLDER / 'hcl.npz')
    count = len(numbered(numbers, 's'))
    assert count >= 9
    for i in range(count):
        student = numbers[f's{i}'].requires_grad_()
        loss = hcl_loss(student, numbers[f't{i}'])
        torch.testing.assert_close(loss, numbers[f'loss{i}'], **TOLERANCE)
        loss.backward()
        torch.testing.assert_close(student.grad, numbers[f'grad{i}'], **TOLERANCE)
