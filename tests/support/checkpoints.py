"""What models and their checkpoints hold, to be compared."""

import numpy as np
import torch
from mmengine.logging import HistoryBuffer


def assert_equal(loaded, expected):
    assert type(loaded) is type(expected)
    if isinstance(expected, dict):
        assert list(loaded) == list(expected)
        for key in expected:
            assert_equal(loaded[key], expected[key])
    elif isinstance(expected, HistoryBuffer):
        for mine, theirs in zip(loaded.data, expected.data):
            np.testing.assert_array_equal(mine, theirs)
        # what a resumed run asks of it
        assert loaded.mean() == expected.mean()
        assert loaded.statistics('max') == expected.statistics('max')
    elif isinstance(expected, torch.Tensor):
        assert loaded.dtype == expected.dtype
        assert loaded.requires_grad == expected.requires_grad
        assert torch.equal(loaded, expected)
    elif isinstance(expected, np.ndarray):
        assert loaded.dtype == expected.dtype
        np.testing.assert_array_equal(loaded, expected)
    else:
        assert loaded == expected


def snapshot(module):
    return {key: value.clone() for key, value in module.state_dict().items()}
