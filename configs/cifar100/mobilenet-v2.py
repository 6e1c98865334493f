_base_ = '../_base_/cifar100.py'
model = dict(backbone=dict(type='CifarMobileNetV2'))
optim_wrapper = dict(optimizer=dict(lr=0.02))
