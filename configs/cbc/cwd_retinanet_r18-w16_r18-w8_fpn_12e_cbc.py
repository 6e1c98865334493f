_base_ = './review-kd_retinanet_r18-w16_r18-w8_fpn_12e_cbc.py'
model = dict(
    review=None,
    methods=dict(cwd=dict(type='CWD', weight=5.0, temperature=1.0)),
    strides=[8, 16, 32, 64],
)
