_base_ = '../review-kd_resnet20_resnet8.py'
custom_hooks = [
    dict(type='ReviewWeightHook', warmup=1),
    dict(type='ReviewGradientHook'),
]
