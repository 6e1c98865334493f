_base_ = '../_base_/cifar100_sskd-head.py'
model = dict(
    teacher=dict(
        config='mmreviewkd::cifar100/resnet32x4.py',
        checkpoint='work_dirs/resnet32x4/epoch_240.pth',
    ),
)
