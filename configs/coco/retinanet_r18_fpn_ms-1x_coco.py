# BatchNorm is trained, as mmdet's config has it
_base_ = ['mmdet::retinanet/retinanet_r18_fpn_1x_coco.py', '../_base_/coco_ms.py']
train_pipeline = [
    _base_.ms_resize if step.type == 'Resize' else step
    for step in _base_.train_pipeline
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
