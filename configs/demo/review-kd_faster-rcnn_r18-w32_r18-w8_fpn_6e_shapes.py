_base_ = './faster-rcnn_r18-w8_fpn_6e_shapes.py'
custom_imports = dict(imports=['mmreviewkd'], allow_failed_imports=False)
teacher = 'faster-rcnn_r18-w32_fpn_6e_shapes'
model = dict(
    _delete_=True,
    type='ReviewKD',
    student=_base_.model,
    teacher=dict(
        config=f'mmreviewkd::demo/{teacher}.py',
        checkpoint='work_dirs/demo/teacher/epoch_6.pth',
    ),
    review=dict(weight=1.0),
)
