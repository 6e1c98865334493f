_base_ = 'mmdet::retinanet/retinanet_r18_fpn_1x_coco.py'
# half of the usual 1333x800, in training and test
resize = dict(type='Resize', scale=(667, 400), keep_ratio=True)
train_pipeline = [
    resize if step.type == 'Resize' else step for step in _base_.train_pipeline
]
test_pipeline = [
    resize if step.type == 'Resize' else step for step in _base_.test_pipeline
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
