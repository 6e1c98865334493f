# a pair of CRD's benchmark, features after the activation: a config adds a method
_base_ = '../cifar100/benchmark/resnet20.py'
model = dict(
    _delete_=True,
    type='ReviewKD',
    student=_base_.model,
    teacher=dict(
        config='mmreviewkd::cifar100/resnet56.py',
        checkpoint='work_dirs/resnet56/epoch_240.pth',
        levels='after',
    ),
)
