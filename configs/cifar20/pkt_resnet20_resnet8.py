_base_ = '../_base_/cifar20_resnet20_resnet8.py'
model = dict(methods=dict(pkt=dict(type='PKT', weight=30000.0)))
