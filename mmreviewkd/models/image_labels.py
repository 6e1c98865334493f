"""Labels in the batches of classifiers."""

from typing import Union

from torch import Tensor


def image_labels(data_samples: Union[Tensor, dict]) -> Tensor:
    """Return the labels of a batch of images, (N, ).

    Args:
        data_samples (Tensor | dict): The labels, or a dict with the labels under
            ``'gt_label'`` and, optionally, the index of each image under
            ``'sample_idx'``.
    """
    return (
        data_samples if isinstance(data_samples, Tensor) else data_samples['gt_label']
    )
