"""How differently two detectors see an image."""

from mmdet.structures.bbox import get_box_tensor
from mmengine.structures import InstanceData
from torchvision.ops import box_iou


def disagreement(ours: InstanceData, theirs: InstanceData, iou: float = 0.5) -> int:
    """The number of boxes of either that the other has not.

    Args:
        ours (InstanceData): ``bboxes``, (boxes, 4) as x1, y1, x2, y2, and ``labels``.
        theirs (InstanceData): The other detector's.
        iou (float): The least overlap of two boxes of one class that are the same.

    Returns:
        int: From 0 to the number of boxes of both.
    """
    boxes = [get_box_tensor(each.bboxes).float() for each in (ours, theirs)]
    same = (box_iou(*boxes) >= iou) & (ours.labels[:, None] == theirs.labels[None])
    return sum(int((~same.any(dim)).sum()) for dim in (0, 1))
