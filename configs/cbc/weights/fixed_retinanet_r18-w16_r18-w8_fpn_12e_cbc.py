_base_ = '../review-kd_retinanet_r18-w16_r18-w8_fpn_12e_cbc.py'
custom_hooks = [dict(type='ReviewGradientHook', interval=10)]
