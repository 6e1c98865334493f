_base_ = ['mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py', '../_base_/coco_ms.py']
# The paper's setting, where it differs from mmdet's 1x: short side 640 to 800,
# BatchNorm wholly frozen. Its batch 8 at lr 0.01 for 180k steps is mmdet's
# 16 at 0.02 for 12 epochs; --auto-scale-lr fits another batch.
train_pipeline = [
    _base_.ms_resize if step.type == 'Resize' else step
    for step in _base_.train_pipeline
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
model = dict(backbone=dict(norm_cfg=dict(requires_grad=False)))
# Detectron2 trains norm layers without weight decay; those of the ABFs are all
# there are to train
optim_wrapper = dict(paramwise_cfg=dict(norm_decay_mult=0.0))
