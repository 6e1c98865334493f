_base_ = './mobilenet-v2.py'
model = dict(
    _delete_=True,
    type='ReviewKD',
    student=_base_.model,
    teacher=dict(
        config='mmreviewkd::cifar100/resnet50.py',
        checkpoint='work_dirs/resnet50/epoch_240.pth',
    ),
    # not published; that of ResNet50-MobileNetV1 on ImageNet
    review=dict(weight=8.0),
)
custom_hooks = [dict(type='ReviewWeightHook', warmup=20)]
