_base_ = '../_base_/cifar100_resnet32x4_resnet8x4.py'
model = dict(methods=dict(at=dict(type='AttentionTransfer', weight=1000.0)))
