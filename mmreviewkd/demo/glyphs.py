"""A drawn classification dataset: one shape per image, full or hollow.

The shapes of :mod:`.shapes`, with their misleading colours, patterns and
clutter, are cropped with a margin and resized to 32x32, so that a hole has only a
few pixels.
"""

import os
import os.path as osp
import shutil

import cv2
import numpy as np

from .shapes import CLASSES as OUTLINES
from .shapes import SIZE as CANVAS
from .shapes import background, draw_clutter, outline, texture

CLASSES = (*OUTLINES, *(f'hollow {name}' for name in OUTLINES))
SIZE = 32  # height and width of an image in pixels


def make_archives(root: str, num_train: int, num_test: int, seed: int) -> None:
    """Draw ``train.npz`` and ``test.npz``; existing contents of ``root`` are replaced.

    The same arguments draw the same pixels, and a smaller dataset is the beginning of
    a larger one. The classes alternate.

    Args:
        root (str): Folder to write, with archives for :class:`ArchiveImages`.
            It appears when both are complete.
        num_train (int): Number of training images.
        num_test (int): Number of test images.
        seed (int): Random seed; each draws other images.
    """
    unfinished = root.rstrip('/') + '.part'
    shutil.rmtree(unfinished, ignore_errors=True)
    os.makedirs(unfinished)
    sizes = dict(train=num_train, test=num_test)
    for number, (split, size) in enumerate(sizes.items()):
        labels = np.arange(size) % len(CLASSES)
        images = [
            draw_glyph(label, np.random.default_rng([seed, number, index]))
            for index, label in enumerate(labels.tolist())
        ]
        np.savez(osp.join(unfinished, f'{split}.npz'), x=np.stack(images), y=labels)
    shutil.rmtree(root, ignore_errors=True)
    os.replace(unfinished, root)


def draw_glyph(label: int, rng: np.random.Generator) -> np.ndarray:
    """Draw one image of a class, RGB, (SIZE, SIZE, 3) of uint8."""
    hollow, shape = divmod(label, len(OUTLINES))
    corners = outline(shape, rng)
    low, high = corners.min(axis=0), corners.max(axis=0)
    mask = np.zeros((CANVAS, CANVAS), np.uint8)
    cv2.fillPoly(mask, [corners], 1)
    if hollow:
        centre = corners.mean(axis=0)
        hole = centre + (corners - centre) * rng.uniform(0.3, 0.6)
        cv2.fillPoly(mask, [hole.round().astype(np.int32)], 0)
    image = background(rng)
    for _ in range(rng.integers(4, 12)):
        draw_clutter(image, rng)
    image[mask > 0] = texture(shape, rng)[mask > 0]
    for _ in range(rng.integers(3)):
        draw_clutter(image, rng)

    # the crop contains the whole shape, and is up to twice as large
    side = min(int((high - low).max() * rng.uniform(1.1, 2)) + 1, CANVAS)
    left, top = rng.integers(
        np.maximum(high + 1 - side, 0), np.minimum(low, CANVAS - side) + 1
    )
    image = cv2.resize(
        image[top : top + side, left : left + side],
        (SIZE, SIZE),
        interpolation=cv2.INTER_AREA,
    )
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1))
    image = image + rng.normal(0, rng.uniform(4, 24), image.shape)
    return image[..., ::-1].clip(0, 255).astype(np.uint8)
