_base_ = '../review-kd_faster-rcnn_r18-w16_r18-w8_fpn_12e_deeppcb.py'
# half a schedule
train_cfg = dict(max_epochs=6)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='MultiStepLR', by_epoch=True, milestones=[4, 5], gamma=0.1),
]
custom_hooks = [dict(type='ReviewGradientHook')]
