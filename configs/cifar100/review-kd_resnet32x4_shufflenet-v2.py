_base_ = './shufflenet-v2.py'
model = dict(
    _delete_=True,
    type='ReviewKD',
    student=_base_.model,
    teacher=dict(
        config='mmreviewkd::cifar100/resnet32x4.py',
        checkpoint='work_dirs/resnet32x4/epoch_240.pth',
    ),
    review=dict(weight=8.0),
)
custom_hooks = [dict(type='ReviewWeightHook', warmup=20)]
