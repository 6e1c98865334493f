_base_ = '../_base_/cifar100_resnet56_resnet20.py'
model = dict(methods=dict(pkt=dict(type='PKT', weight=30000.0)))
