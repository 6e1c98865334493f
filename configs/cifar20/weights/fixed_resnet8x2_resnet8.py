_base_ = './fixed_resnet20_resnet8.py'
model = dict(
    teacher=dict(
        config='mmreviewkd::cifar20/weights/resnet8x2.py',
        checkpoint='work_dirs/cifar20_resnet8x2/epoch_10.pth',
    )
)
