_base_ = './faster-rcnn_r50_fpn_ms-1x_coco.py'
model = dict(
    backbone=dict(
        depth=18, init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet18')
    ),
    neck=dict(in_channels=[64, 128, 256, 512]),
)
