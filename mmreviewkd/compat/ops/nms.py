"""Non-maximum suppression."""

import torch
import torchvision
from torch import Tensor

from ..precision import in_float32


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Return the indices kept by greedy NMS, best score first.

    Args:
        boxes (Tensor): (N, 4), as x1, y1, x2, y2.
        scores (Tensor): (N, ).
        iou_threshold (float): A box with a larger IoU to a kept one is removed.
        offset (int): 1 if x2 and y2 are inclusive pixel indices, else 0.
    """
    boxes, scores = map(in_float32, (boxes, scores))
    if offset:
        # width = x2 - x1 + offset, for the areas and for the overlaps alike
        boxes = boxes + boxes.new_tensor([0, 0, offset, offset])
    # mmcv compares in float32, in which an overlap of 3/5 does not exceed 0.6
    iou_threshold = torch.tensor(iou_threshold, dtype=torch.float32).item()
    # mmcv takes equal scores in the order in which torch sorts them
    order = scores.argsort(descending=True)
    ranks = torch.arange(len(boxes), 0, -1, device=boxes.device).to(boxes)
    return order[torch.ops.torchvision.nms(boxes[order], ranks, iou_threshold)]


def softnms(
    boxes: Tensor,
    scores: Tensor,
    dets: Tensor,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int,
) -> Tensor:
    """Soft-NMS (arXiv 1704.04503): fill ``dets``, and return the kept indices.

    torchvision has no such kernel. Like mmcv's, this runs on the CPU, whatever the
    device.

    Args:
        boxes (Tensor): (N, 4), as x1, y1, x2, y2.
        scores (Tensor): (N, ).
        dets (Tensor): (N, 5), filled with boxes and decayed scores.
        iou_threshold (float): IoU from which methods 0 and 1 decay a score.
        sigma (float): Width of the Gaussian decay (method 2).
        min_score (float): Boxes whose score falls below it are dropped.
        method (int): 0 naive, 1 linear, 2 Gaussian.
        offset (int): 1 if x2 and y2 are inclusive pixel indices, else 0.
    """
    boxes, scores = map(in_float32, (boxes, scores))
    x1, y1, x2, y2 = boxes.unbind(1)
    areas = (x2 - x1 + offset) * (y2 - y1 + offset)
    scores = scores.clone()
    remaining = torch.arange(boxes.size(0))
    kept: list[int] = []
    while remaining.numel():
        best = int(scores[remaining].argmax())
        i = int(remaining[best])
        dets[len(kept), :4], dets[len(kept), 4] = boxes[i], scores[i]
        kept.append(i)
        # As in mmcv, the first remaining box moves to the place of the best one,
        # and the last ones replace dropped boxes: the first of equal scores wins.
        remaining[best] = remaining[0]
        remaining = remaining[1:]
        width = (
            torch.min(x2[i], x2[remaining]) - torch.max(x1[i], x1[remaining]) + offset
        ).clamp(min=0)
        height = (
            torch.min(y2[i], y2[remaining]) - torch.max(y1[i], y1[remaining]) + offset
        ).clamp(min=0)
        inter = width * height
        # 0 / 0 for two boxes without area counts as no overlap
        iou = (inter / (areas[i] + areas[remaining] - inter)).nan_to_num(0)
        if method == 2:
            decay = torch.exp(-(iou**2) / sigma)
        else:
            decayed = torch.zeros_like(iou) if method == 0 else 1 - iou
            decay = torch.where(iou >= iou_threshold, decayed, torch.ones_like(iou))
        scores[remaining] *= decay
        stays = ~(scores[remaining] < min_score)
        head, tail = remaining.tensor_split([int(stays.sum())])
        head[~stays[: len(head)]] = tail[stays[len(head) :]].flip(0)
        remaining = head
    return torch.tensor(kept, dtype=torch.long)


def nms_match(dets: Tensor, iou_threshold: float) -> list[list[int]]:
    """List the boxes that greedy NMS keeps, best first, each with those it removes.

    Args:
        dets (Tensor): (N, 5), as x1, y1, x2, y2, score.
        iou_threshold (float): IoU to a kept box from which a box is removed.
    """
    dets = in_float32(dets)
    threshold = torch.tensor(iou_threshold, dtype=torch.float32).item()
    overlaps = torchvision.ops.box_iou(dets[:, :4], dets[:, :4]) >= threshold
    remaining, groups = dets[:, 4].argsort(descending=True), []
    while remaining.numel():
        best, rest = remaining[0], remaining[1:]
        gone = overlaps[best, rest]
        groups.append([int(best), *rest[gone].tolist()])
        remaining = rest[~gone]
    return groups
