_base_ = '../_base_/cifar20_resnet20_resnet8.py'
# 20 of 240 epochs of warm-up
model = dict(methods=dict(dkd=dict(type='DKDLoss', weight=1.0, alpha=1.0, beta=2.0)))
custom_hooks = [dict(type='ReviewWeightHook', warmup=1)]
