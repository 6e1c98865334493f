#!/usr/bin/env python
"""Make the blood cells' teacher with features ten times as large, and the same boxes.

The last convolutions of its FPN are multiplied by 10, and the first layers that read
them, of the RPN and of the box head, are divided by 10. The file is written beside the
teacher's, with _x10 at the end of the folder's name. It needs the package, installed or
by PYTHONPATH.

    python docs/results/rescale_teacher.py
"""

import os

from mmreviewkd.compat import load_from_local

import torch

TEACHER = 'work_dirs/faster-rcnn_r18-w16_fpn_12e_cbc'
FILE = 'epoch_12.pth'
FACTOR = 10
# biases are added after the division
READERS = ('rpn_head.rpn_conv.weight', 'roi_head.bbox_head.shared_fcs.0.weight')


def rescale(state):
    """The weights of the same Faster R-CNN, with features FACTOR times as large."""
    rescaled = dict(state)
    for name in state:
        if name.startswith('neck.fpn_convs.'):
            rescaled[name] = state[name] * FACTOR
    for name in READERS:
        rescaled[name] = state[name] / FACTOR
    return rescaled


if __name__ == '__main__':
    checkpoint = load_from_local(f'{TEACHER}/{FILE}', 'cpu')
    folder = f'{TEACHER}_x{FACTOR}'
    os.makedirs(folder, exist_ok=True)
    rescaled = dict(
        meta=checkpoint['meta'], state_dict=rescale(checkpoint['state_dict'])
    )
    torch.save(rescaled, f'{folder}/{FILE}')
