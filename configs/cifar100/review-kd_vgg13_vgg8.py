_base_ = './vgg8.py'
model = dict(
    _delete_=True,
    type='ReviewKD',
    student=_base_.model,
    teacher=dict(
        config='mmreviewkd::cifar100/vgg13.py',
        checkpoint='work_dirs/vgg13/epoch_240.pth',
    ),
    # not published; that of the other pairs of one family at this width
    review=dict(weight=5.0),
)
custom_hooks = [dict(type='ReviewWeightHook', warmup=20)]
