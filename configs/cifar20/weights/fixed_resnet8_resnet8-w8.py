_base_ = './fixed_resnet20_resnet8.py'
model = dict(
    student=dict(backbone=dict(widths=(8, 8, 16, 32))),
    teacher=dict(
        config='mmreviewkd::cifar20/resnet8.py',
        checkpoint='work_dirs/cifar20_resnet8/epoch_10.pth',
    ),
)
