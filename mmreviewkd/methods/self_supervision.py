"""Rotated copies of images, and the heads that tell which image a copy is of.

Both phases of SSKD (arXiv 2006.07114) need them: the training of the teacher's head,
and that of the student. A batch has four copies of each image side by side, turned by
0, 90, 180 and 270 degrees: ``CropFlipPreprocessor(rotations=True)`` makes them.
"""

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.runner import CheckpointLoader
from torch import Tensor

from ..compat.precision import in_float32
from ..errors import UserInputError

NO_LABEL = -100
"""Label of a rotated copy, which ``F.cross_entropy`` leaves out by default."""


def split_copies(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Separate original from rotated copies.

    Args:
        rows (Tensor): Something of each copy, (4 N, ...).

    Returns:
        tuple[Tensor, Tensor]: Of the original ones, (N, ...), and of the rotated ones,
        (3 N, ...), those of an image side by side.
    """
    copies = rows.unflatten(0, (-1, 4))
    return copies[:, 0], copies[:, 1:].flatten(0, 1)


def projection_head(channels: int) -> nn.Sequential:
    """Return the two layers through which copies of images are compared."""
    return nn.Sequential(
        nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, channels)
    )


def load_head(head: nn.Module, filename: str) -> None:
    """Load the head in a checkpoint of a :class:`SelfSupervisedHead`.

    Args:
        head (nn.Module): Projection head of the teacher's width.
        filename (str): File or URL.

    Raises:
        UserInputError: The file is missing, is no checkpoint or has no such head.
    """
    remedy = 'train it with a SelfSupervisedHead, as configs/cifar100/sskd-head_* do'
    try:
        checkpoint = CheckpointLoader.load_checkpoint(filename, 'cpu')
    except FileNotFoundError as error:
        raise UserInputError(f'SSKD(teacher_head=...): {error}; {remedy}') from None
    weights = {
        key[len('head.') :]: value
        for key, value in checkpoint.get('state_dict', checkpoint).items()
        if key.startswith('head.')
    }
    found, expected = (
        {key: tuple(value.shape) for key, value in each.items()}
        for each in (weights, head.state_dict())
    )
    if found != expected:
        raise UserInputError(
            f'SSKD(teacher_head={filename!r}): the file has '
            + (f'a head of shapes {list(found.values())}' if found else 'no head')
            + f', the teacher needs one of {list(expected.values())}; {remedy}'
        )
    head.load_state_dict(weights)


def similarities(head: nn.Module, pooled: Tensor) -> Tensor:
    """Cosine between each rotated copy and each original one, behind a head.

    Args:
        head (nn.Module): Projection head.
        pooled (Tensor): Pooled feature of each copy, (4 N, C).

    Returns:
        Tensor: (3 N, N), in float32 at least. The right column of row i is i // 3.
    """
    vectors = head(pooled)
    with torch.autocast(vectors.device.type, enabled=False):
        original, rotated = split_copies(F.normalize(in_float32(vectors)))
        return rotated @ original.T


def own_images(scores: Tensor) -> Tensor:
    """Column of the own image in each row of :func:`similarities`, (3 N, )."""
    return torch.arange(len(scores), device=scores.device) // 3
