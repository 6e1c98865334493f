# features after the activation, settings of ResNet56-ResNet20; a config adds a method
_base_ = '../cifar20/resnet8.py'
model = dict(
    _delete_=True,
    type='ReviewKD',
    student=_base_.model,
    teacher=dict(
        config='mmreviewkd::cifar20/resnet20.py',
        checkpoint='work_dirs/cifar20_resnet20/epoch_10.pth',
        levels='after',
    ),
)
