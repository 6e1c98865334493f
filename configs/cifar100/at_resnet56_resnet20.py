_base_ = '../_base_/cifar100_resnet56_resnet20.py'
model = dict(methods=dict(at=dict(type='AttentionTransfer', weight=1000.0)))
