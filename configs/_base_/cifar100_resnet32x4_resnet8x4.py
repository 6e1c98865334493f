# a pair of CRD's benchmark, features after the activation: a config adds a method
_base_ = '../cifar100/benchmark/resnet8x4.py'
model = dict(
    _delete_=True,
    type='ReviewKD',
    student=_base_.model,
    teacher=dict(
        config='mmreviewkd::cifar100/resnet32x4.py',
        checkpoint='work_dirs/resnet32x4/epoch_240.pth',
        levels='after',
    ),
)
