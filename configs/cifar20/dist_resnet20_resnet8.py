_base_ = '../_base_/cifar20_resnet20_resnet8.py'
model = dict(methods=dict(dist=dict(type='DIST', weight=2.0, temperature=4.0)))
