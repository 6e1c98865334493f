_base_ = '../_base_/cifar20_resnet20_resnet8.py'
# DKD of standardised logits; 20 of 240 epochs of warm-up
dkd = dict(type='DKDLoss', weight=18.0, alpha=1.0, beta=2.0, temperature=3.0)
model = dict(methods=dict(dkd=dict(**dkd, standardize=True)))
custom_hooks = [dict(type='ReviewWeightHook', warmup=1)]
