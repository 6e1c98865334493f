"""Masks of instances: out of annotation files, and onto a picture."""

from typing import Union

import numpy as np
from matplotlib.axes import Axes
from mmengine.structures import InstanceData
from pycocotools import mask as coco_mask


def draw_masks(axes: Axes, instances: InstanceData, colors: np.ndarray) -> None:
    """Lay the masks of the instances over the image, half transparent.

    Args:
        axes (Axes): Axes that show the image.
        instances (InstanceData): ``masks``, (H, W) of bool each, and ``labels``;
            without masks nothing is drawn.
        colors (ndarray): Colours of the classes, (classes, 3), from 0 to 1.
    """
    if 'masks' not in instances or not len(instances.masks):
        return
    masks = np.stack([np.asarray(mask, bool) for mask in instances.masks])
    overlay = np.zeros((*masks.shape[1:], 4))
    for mask, label in zip(masks, instances.labels):
        overlay[mask] = (*colors[int(label)], 0.5)
    axes.imshow(overlay)


def as_bitmap(mask: Union[list, dict], height: int, width: int) -> np.ndarray:
    """Turn a mask in COCO's format into pixels.

    Args:
        mask (list | dict): Polygons, [x1, y1, x2, y2, ...] each, or a run-length code.
        height (int): Height of the image.
        width (int): Width of the image.

    Returns:
        ndarray: (height, width) of bool.
    """
    codes = mask
    if isinstance(mask, list):
        # the others are left out by mmdet, too
        polygons = [each for each in mask if len(each) % 2 == 0 and len(each) >= 6]
        if not polygons:
            return np.zeros((height, width), bool)
        codes = coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))
    elif isinstance(mask['counts'], list):
        codes = coco_mask.frPyObjects(mask, height, width)
    return coco_mask.decode(codes).astype(bool)
