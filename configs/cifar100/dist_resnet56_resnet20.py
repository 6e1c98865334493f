_base_ = '../_base_/cifar100_resnet56_resnet20.py'
model = dict(methods=dict(dist=dict(type='DIST', weight=2.0, temperature=4.0)))
