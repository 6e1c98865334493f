_base_ = '../_base_/cifar100_resnet32x4_resnet8x4.py'
# DKD of standardised logits, with DKD's warm-up of 20 epochs
dkd = dict(type='DKDLoss', weight=9.0, alpha=1.0, beta=8.0, temperature=2.0)
model = dict(methods=dict(dkd=dict(**dkd, standardize=True)))
custom_hooks = [dict(type='ReviewWeightHook', warmup=20)]
