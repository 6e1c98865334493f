_base_ = '../_base_/cifar20_resnet20_resnet8.py'
# KD of standardised logits
model = dict(
    student=dict(loss_weight=0.1),
    methods=dict(kd=dict(type='KDLoss', weight=9.0, temperature=2.0, standardize=True)),
)
