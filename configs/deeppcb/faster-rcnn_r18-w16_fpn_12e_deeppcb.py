_base_ = [
    '../_base_/faster-rcnn_r18-w16_fpn.py',
    'mmdet::_base_/default_runtime.py',
    '../_base_/deeppcb_detection.py',
]
# anchors from 16 pixels on: the median training box has 18
model = dict(
    rpn_head=dict(anchor_generator=dict(scales=[4])),
    roi_head=dict(bbox_head=dict(num_classes=6)),
)
