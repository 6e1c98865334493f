_base_ = '../_base_/cifar100_resnet56_resnet20.py'
model = dict(
    student=dict(loss_weight=0.1),
    methods=dict(kd=dict(type='KDLoss', weight=0.9, temperature=4.0)),
)
