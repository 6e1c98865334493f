"""Random batches, as a data loader would put them out."""

import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import InstanceData
from torch import Tensor

BOXES = 8
"""Boxes in each image, about as many as in COCO."""


def random_images(count: int, size: tuple[int, int], classes: int) -> dict:
    """Make a batch for a classifier: noise, each image with a random label.

    Args:
        count (int): Number of images.
        size (tuple[int, int]): Height and width.
        classes (int): Number of classes.
    """
    return dict(
        inputs=torch.randint(256, (count, 3, *size), dtype=torch.uint8),
        data_samples=dict(
            gt_label=torch.randint(classes, (count,)), sample_idx=torch.arange(count)
        ),
    )


def random_scenes(
    count: int, size: tuple[int, int], classes: int, masks: bool = False
) -> dict:
    """Make a batch for a detector: noise, each image with random boxes.

    Args:
        count (int): Number of images.
        size (tuple[int, int]): Height and width.
        classes (int): Number of classes.
        masks (bool): Whether each box has a mask, which fills it.
    """
    return dict(
        inputs=[
            torch.randint(256, (3, *size), dtype=torch.uint8) for _ in range(count)
        ],
        data_samples=[_scene(index, size, classes, masks) for index in range(count)],
    )


def _scene(
    index: int, size: tuple[int, int], classes: int, masks: bool
) -> DetDataSample:
    sample = DetDataSample(
        metainfo=dict(
            img_id=index,
            sample_idx=index,
            img_path='',
            img_shape=size,
            ori_shape=size,
            scale_factor=(1.0, 1.0),
            flip=False,
            flip_direction=None,
        )
    )
    boxes = _boxes(size)
    instances = InstanceData(
        bboxes=HorizontalBoxes(boxes), labels=torch.randint(classes, (BOXES,))
    )
    if masks:
        filled = torch.zeros(BOXES, *size, dtype=torch.uint8)
        for mask, (left, top, right, bottom) in zip(filled, boxes.int().tolist()):
            mask[top : bottom + 1, left : right + 1] = 1
        instances.masks = BitmapMasks(filled.numpy(), *size)
    sample.gt_instances = instances
    sample.ignored_instances = InstanceData(
        bboxes=HorizontalBoxes(boxes[:0]), labels=torch.zeros(0, dtype=torch.long)
    )
    return sample


def _boxes(size: tuple[int, int]) -> Tensor:
    """Draw boxes of 5% to 50% of the sides, (BOXES, 4), as x1, y1, x2, y2."""
    height, width = size
    sides = 0.05 + 0.45 * torch.rand(BOXES, 2)
    corners = (1 - sides) * torch.rand(BOXES, 2)
    return torch.cat([corners, corners + sides], 1) * torch.tensor([width, height] * 2)
