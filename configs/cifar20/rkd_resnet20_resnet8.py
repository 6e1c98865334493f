_base_ = '../_base_/cifar20_resnet20_resnet8.py'
model = dict(methods=dict(rkd=dict(type='RKD', weight=1.0)))
