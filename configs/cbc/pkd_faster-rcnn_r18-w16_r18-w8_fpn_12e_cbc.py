_base_ = './review-kd_faster-rcnn_r18-w16_r18-w8_fpn_12e_cbc.py'
model = dict(
    review=None,
    methods=dict(pkd=dict(type='PKD', weight=6.0)),
    strides=[4, 8, 16, 32],
)
