_base_ = './cbc_detection.py'
# DeepPCB: scanned circuit boards, at half of their 640x640 pixels; loaders and
# schedule are those of the blood cells
data_root = 'data/deeppcb/'
metainfo = dict(
    classes=('open', 'short', 'mousebite', 'spur', 'copper', 'pin-hole'),
    palette=[
        (220, 20, 60),
        (0, 120, 255),
        (0, 150, 60),
        (230, 140, 0),
        (150, 60, 200),
        (0, 160, 170),
    ],
)
resize = dict(type='Resize', scale=(320, 320), keep_ratio=True)
train_pipeline = [
    resize if step.type == 'Resize' else step for step in _base_.train_pipeline
]
test_pipeline = [
    resize if step.type == 'Resize' else step for step in _base_.test_pipeline
]
train_dataloader = dict(
    dataset=dict(data_root=data_root, metainfo=metainfo, pipeline=train_pipeline)
)
val_dataloader = dict(
    dataset=dict(data_root=data_root, metainfo=metainfo, pipeline=test_pipeline)
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'annotations/test.json', classwise=True)
test_evaluator = val_evaluator
