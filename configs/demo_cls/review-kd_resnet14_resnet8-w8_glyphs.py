_base_ = './resnet8-w8_glyphs.py'
model = dict(
    _delete_=True,
    type='ReviewKD',
    student=_base_.model,
    teacher=dict(
        config='mmreviewkd::demo_cls/resnet14_glyphs.py',
        checkpoint='work_dirs/demo_cls/teacher/epoch_6.pth',
    ),
    review=dict(weight=1.0),
)
custom_hooks = [dict(type='ReviewWeightHook', warmup=1)]
