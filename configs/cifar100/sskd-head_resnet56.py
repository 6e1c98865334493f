_base_ = '../_base_/cifar100_sskd-head.py'
model = dict(
    teacher=dict(
        config='mmreviewkd::cifar100/resnet56.py',
        checkpoint='work_dirs/resnet56/epoch_240.pth',
    ),
)
