"""Masks beside boxes on a page of predictions."""

from mmreviewkd.visualization import as_bitmap, draw_comparison

import cv2
import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

SQUARE = np.zeros((40, 60), bool)
SQUARE[10:20, 30:50] = True


@pytest.mark.parametrize(
    'mask',
    [
        [[30, 10, 50, 10, 50, 20, 30, 20]],
        [[30, 10, 40, 10, 40, 20, 30, 20], [40, 10, 50, 10, 50, 20, 40, 20]],
        # a polygon of two points and a torn one are none
        [[30, 10, 50, 10, 50, 20, 30, 20], [0, 0, 9, 9], [0, 0, 9, 9, 9, 0, 1]],
        # run lengths, column by column
        dict(size=[40, 60], counts=[30 * 40 + 10, *[10, 30] * 19, 10, 20 + 10 * 40]),
    ],
)
def test_masks_of_coco_files(mask):
    assert (as_bitmap(mask, 40, 60) == SQUARE).all()


@pytest.mark.parametrize('mask', [[], [[]], [[0, 0, 9, 9]]])
def test_masks_of_no_polygon(mask):
    assert not as_bitmap(mask, 40, 60).any()


def test_a_mask_is_drawn_in_its_class_colour(tmp_path):
    image = np.full((40, 60, 3), 255, np.uint8)
    instances = InstanceData(
        bboxes=torch.tensor([[30.0, 10, 50, 20]]), labels=torch.tensor([1])
    )
    meta = dict(classes=('a', 'b'), palette=[(0, 0, 255), (255, 0, 0)])
    pictures = []
    for with_masks in (False, True):
        if with_masks:
            instances.masks = torch.from_numpy(SQUARE[None])
        path = tmp_path / f'{with_masks}.png'
        draw_comparison([image], dict(student=[instances]), meta, str(path))
        pictures.append(cv2.imread(str(path)).astype(int))
    changed = np.abs(pictures[1] - pictures[0]).sum(2) > 30
    share = changed.sum() / changed.size
    assert 0.02 < share < SQUARE.mean() * 1.2
    # half of white and half of red, in OpenCV's order
    assert np.median(pictures[1][changed], 0) == pytest.approx([127, 127, 255], abs=3)
