_base_ = '../_base_/cifar100_resnet56_resnet20.py'
# DKD of standardised logits, with DKD's warm-up of 20 epochs
dkd = dict(type='DKDLoss', weight=18.0, alpha=1.0, beta=2.0, temperature=3.0)
model = dict(methods=dict(dkd=dict(**dkd, standardize=True)))
custom_hooks = [dict(type='ReviewWeightHook', warmup=20)]
