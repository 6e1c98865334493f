"""Gives a dataset without images a clear error.

mmengine (0.8 to 0.10, OneDL's 0.10.12) concatenates the images' records, and
without any NumPy fails with "need at least one array".
"""

import functools

import numpy as np
from mmengine.dataset import BaseDataset

from ..errors import UserInputError


def name_empty_datasets() -> None:
    """Replace how BaseDataset concatenates its records, once."""
    serialize = BaseDataset._serialize_data
    if hasattr(serialize, '__wrapped__'):
        return

    @functools.wraps(serialize)
    def named(self: BaseDataset) -> tuple[np.ndarray, np.ndarray]:
        if not self.data_list:
            reason = 'its annotations list none'
            if self.filter_cfg and not self.test_mode:
                reason = (
                    'filter_cfg, by which images without boxes or '
                    f'small ones are left out, is {self.filter_cfg}'
                )
            raise UserInputError(
                f'no image is left of {self.ann_file or type(self).__name__}: {reason}'
            )
        return serialize(self)

    BaseDataset._serialize_data = named
