_base_ = './faster-rcnn_r18-w8_fpn_12e_deeppcb.py'
custom_imports = dict(imports=['mmreviewkd'], allow_failed_imports=False)
teacher = 'faster-rcnn_r18-w16_fpn_12e_deeppcb'
model = dict(
    _delete_=True,
    type='ReviewKD',
    student=_base_.model,
    teacher=dict(
        config=f'mmreviewkd::deeppcb/{teacher}.py',
        checkpoint=f'work_dirs/{teacher}/epoch_12.pth',
    ),
    review=dict(weight=1.0),
)
