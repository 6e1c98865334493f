"""Pages of images with boxes or labels."""

from mmreviewkd.visualization import draw_comparison, draw_labels

import cv2
import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData


class TestComparison:
    def draw(self, tmp_path, boxes, scores=True):
        instances = InstanceData(
            bboxes=torch.tensor(boxes).reshape(-1, 4),
            labels=torch.zeros(len(boxes), dtype=torch.long),
        )
        if scores:
            instances.scores = torch.full((len(boxes),), 0.9)
        path = str(tmp_path / 'page.png')
        image = np.full((60, 80, 3), 128, np.uint8)
        draw_comparison(
            [image],
            dict(title=[instances]),
            dict(classes=('thing',), palette=[(255, 0, 0)]),
            path,
        )
        page = cv2.imread(path).astype(int)
        # red, but for the legend at the bottom
        red = page[..., 2] - page[..., :2].max(axis=-1) > 100
        return red[:-60].sum()

    @pytest.mark.parametrize('scores', [True, False])
    def test_boxes_are_drawn(self, tmp_path, scores):
        boxes = [[10.0, 10.0, 50.0, 40.0]]
        assert self.draw(tmp_path, boxes, scores) > 200

    def test_nothing_found(self, tmp_path):
        assert self.draw(tmp_path, []) == 0


def test_page_of_labels(tmp_path):
    path = str(tmp_path / 'page.png')
    images = np.full((7, 32, 32, 3), 128, np.uint8)

    def coloured(answers):
        draw_labels(images, [0] * 7, dict(model=answers), ('a', 'b'), path)
        page = cv2.imread(path).astype(int)
        _blue, green, red = np.moveaxis(page, -1, 0)
        return (green - red > 60).sum(), (red - green > 100).sum()

    right, wrong = coloured([0] * 7)
    assert right > 100 and not wrong
    right, wrong = coloured([1] * 7)
    assert wrong > 100 and not right


def test_names_that_would_be_broken_formulas(tmp_path):
    name, path = r'$\bad$', str(tmp_path / 'page.png')
    images = [np.full((32, 32, 3), 128, np.uint8)]
    draw_labels(images, [0], {name: [0]}, (name,), path)
    found = InstanceData(
        bboxes=torch.tensor([[1.0, 1, 9, 9]]), labels=torch.zeros(1, dtype=torch.long)
    )
    draw_comparison(images, {name: [found]}, dict(classes=(name,)), path)
