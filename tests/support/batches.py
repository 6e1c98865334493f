"""Batches of random images, as a detector's data loader puts them out."""

import mmreviewkd  # noqa: F401

import torch
from mmdet.testing import demo_mm_inputs
from mmengine.structures import InstanceData


def batch(shapes=((64, 96), (96, 96)), masks=False, num_items=None, proposals=False):
    """Images with boxes and, where asked for, masks or proposals.

    Args:
        shapes (Sequence[tuple[int, int]]): Heights and widths.
        masks (bool): Whether there are instance and semantic masks.
        num_items (Sequence[int], optional): Boxes of each image, 4 by default.
        proposals (bool): Whether the boxes are proposals as well.
    """
    data = demo_mm_inputs(
        len(shapes),
        [[3, *shape] for shape in shapes],
        num_items=num_items or [4] * len(shapes),
        num_classes=2,
        with_mask=masks,
        with_semantic=masks,
        use_box_type=True,
    )
    for sample in data['data_samples']:
        # a tuple, as pipelines have it: torch.compile may trace into an array
        sample.set_metainfo(dict(scale_factor=tuple(sample.scale_factor.tolist())))
    for sample in data['data_samples'] if proposals else ():
        boxes = sample.gt_instances.bboxes.tensor.clone()
        sample.proposals = InstanceData(bboxes=boxes, scores=torch.ones(len(boxes)))
    return data
