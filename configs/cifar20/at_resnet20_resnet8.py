_base_ = '../_base_/cifar20_resnet20_resnet8.py'
model = dict(methods=dict(at=dict(type='AttentionTransfer', weight=1000.0)))
