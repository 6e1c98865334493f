_base_ = ['./faster-rcnn_r50_fpn_ms-1x_coco.py', '../_base_/mobilenet-v2.py']
model = dict(backbone=_base_.mobilenet_v2, neck=dict(in_channels=[24, 32, 96, 320]))
