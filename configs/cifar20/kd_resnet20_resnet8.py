_base_ = './review-kd_resnet20_resnet8.py'
model = dict(
    student=dict(loss_weight=0.1),
    review=dict(weight=0.0),
    logits=dict(type='KDLoss', weight=0.9, temperature=4.0),
)
custom_hooks = []
