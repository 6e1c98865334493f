_base_ = [
    '../_base_/faster-rcnn_r18-w16_fpn.py',
    'mmdet::_base_/default_runtime.py',
    '../_base_/cbc_detection.py',
]
model = dict(roi_head=dict(bbox_head=dict(num_classes=3)))
default_hooks = dict(logger=dict(interval=10))
