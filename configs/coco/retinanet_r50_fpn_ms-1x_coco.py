_base_ = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'
# The paper's setting, where it differs from mmdet's 1x: short side 640 to 800,
# BatchNorm wholly frozen. Its batch 8 at lr 0.005 for 180k steps is mmdet's
# 16 at 0.01 for 12 epochs; --auto-scale-lr fits another batch.
train_pipeline = [
    dict(type='LoadImageFromFile', backend_args=None),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='RandomChoiceResize',
        scales=[(1333, side) for side in range(640, 801, 32)],
        keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs')
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
model = dict(backbone=dict(norm_cfg=dict(requires_grad=False)))
