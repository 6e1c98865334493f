_base_ = '../_base_/cifar100.py'
model = dict(backbone=dict(type='CifarShuffleNetV2'))
optim_wrapper = dict(optimizer=dict(lr=0.02))
