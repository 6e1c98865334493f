"""How differently two detectors see an image."""

from mmreviewkd.visualization import disagreement

import pytest
import torch
from mmengine.structures import InstanceData


def boxes(*given):
    """Boxes of x1, y1, x2, y2 and a label."""
    values = torch.tensor(given, dtype=torch.float).reshape(-1, 5)
    return InstanceData(bboxes=values[:, :4], labels=values[:, 4].long())


BOX, MOVED, FAR = (0, 0, 10, 10, 0), (0, 0, 10, 6, 0), (0, 0, 10, 4, 0)


@pytest.mark.parametrize(
    'ours, theirs, number',
    [
        ([], [], 0),
        ([BOX], [BOX], 0),
        ([BOX], [MOVED], 0),  # an overlap of 0.6
        ([BOX], [FAR], 2),  # of 0.4: each has one that the other lacks
        ([BOX], [(*BOX[:4], 1)], 2),
        ([BOX, FAR], [BOX], 1),
        ([], [BOX, FAR], 2),
    ],
)
def test_boxes_that_only_one_of_them_has(ours, theirs, number):
    assert disagreement(boxes(*ours), boxes(*theirs)) == number
    assert disagreement(boxes(*theirs), boxes(*ours)) == number
