# Review-KD and, with weight 1 from the first step on, KD, as the authors' code has it
_base_ = './review-kd_resnet20_resnet8.py'
model = dict(methods=dict(kd=dict(type='KDLoss', weight=1.0, temperature=4.0)))
custom_hooks = [dict(type='ReviewWeightHook', methods=['review'], warmup=1)]
