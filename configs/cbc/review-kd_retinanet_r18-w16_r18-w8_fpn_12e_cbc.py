_base_ = './retinanet_r18-w8_fpn_12e_cbc.py'
custom_imports = dict(imports=['mmreviewkd'], allow_failed_imports=False)
teacher = 'retinanet_r18-w16_fpn_12e_cbc'
model = dict(
    _delete_=True,
    type='ReviewKD',
    student=_base_.model,
    teacher=dict(
        config=f'mmreviewkd::cbc/{teacher}.py',
        checkpoint=f'work_dirs/{teacher}/epoch_12.pth',
    ),
    review=dict(weight=1.0),
)
