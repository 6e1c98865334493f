_base_ = './shufflenet-v1.py'
model = dict(
    _delete_=True,
    type='ReviewKD',
    student=_base_.model,
    teacher=dict(
        config='mmreviewkd::cifar100/wrn-40-2.py',
        checkpoint='work_dirs/wrn-40-2/epoch_240.pth',
    ),
    review=dict(weight=5.0),
)
custom_hooks = [dict(type='ReviewWeightHook', warmup=20)]
