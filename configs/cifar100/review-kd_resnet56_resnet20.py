_base_ = './resnet20.py'
model = dict(
    _delete_=True,
    type='ReviewKD',
    student=_base_.model,
    teacher=dict(
        config='mmreviewkd::cifar100/resnet56.py',
        checkpoint='work_dirs/resnet56/epoch_240.pth',
    ),
    review=dict(weight=0.6),
)
custom_hooks = [dict(type='ReviewWeightHook', warmup=20)]
