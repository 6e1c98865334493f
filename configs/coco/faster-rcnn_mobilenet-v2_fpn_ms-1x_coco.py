_base_ = './faster-rcnn_r50_fpn_ms-1x_coco.py'
# the last feature is that of 320 channels; the 1280 behind it, made for the
# classifier of ImageNet, run without a loss, which DDP has to be told
model = dict(
    backbone=dict(
        _delete_=True,
        type='MobileNetV2',
        out_indices=(1, 2, 4, 6),
        norm_cfg=dict(type='BN', requires_grad=False),
        norm_eval=True,
        init_cfg=dict(
            type='Pretrained', checkpoint='open-mmlab://mmdet/mobilenet_v2')),
    neck=dict(in_channels=[24, 32, 96, 320]))
find_unused_parameters = True
