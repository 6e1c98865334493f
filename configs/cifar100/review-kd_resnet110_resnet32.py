_base_ = './resnet32.py'
model = dict(
    _delete_=True,
    type='ReviewKD',
    student=_base_.model,
    teacher=dict(
        config='mmreviewkd::cifar100/resnet110.py',
        checkpoint='work_dirs/resnet110/epoch_240.pth',
    ),
    review=dict(weight=1.0),
)
custom_hooks = [dict(type='ReviewWeightHook', warmup=20)]
