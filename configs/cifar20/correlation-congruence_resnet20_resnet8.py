_base_ = '../_base_/cifar20_resnet20_resnet8.py'
# the paper's formula, beside KD
model = dict(
    student=dict(loss_weight=0.1),
    methods=dict(
        correlation=dict(type='CorrelationCongruence', weight=0.003),
        kd=dict(type='KDLoss', weight=0.9, temperature=4.0),
    ),
)
