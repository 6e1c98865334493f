_base_ = '../_base_/cifar100.py'
model = dict(backbone=dict(type='CifarWideResNet', depth=40, widen_factor=1))
