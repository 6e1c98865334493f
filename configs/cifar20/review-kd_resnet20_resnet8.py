_base_ = './resnet8.py'
model = dict(
    _delete_=True,
    type='ReviewKD',
    student=_base_.model,
    teacher=dict(
        config='mmreviewkd::cifar20/resnet20.py',
        checkpoint='work_dirs/cifar20_resnet20/epoch_10.pth',
    ),
    # of the ResNet56-ResNet20 pair; 20 of 240 epochs of warm-up
    review=dict(weight=0.6),
)
custom_hooks = [dict(type='ReviewWeightHook', warmup=1)]
