_base_ = '../_base_/cifar100_resnet32x4_resnet8x4.py'
# with the published warm-up of 20 epochs
model = dict(methods=dict(dkd=dict(type='DKDLoss', weight=1.0, alpha=1.0, beta=8.0)))
custom_hooks = [dict(type='ReviewWeightHook', warmup=20)]
