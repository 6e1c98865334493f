_base_ = '../_base_/cifar100_resnet32x4_resnet8x4.py'
model = dict(
    student=dict(loss_weight=0.1),
    methods=dict(kd=dict(type='KDLoss', weight=0.9, temperature=4.0)),
)
