_base_ = '../_base_/cifar20.py'
model = dict(backbone=dict(type='CifarResNet', depth=20, num_classes=20))
