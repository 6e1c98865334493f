_base_ = './review-kd_faster-rcnn_r18-w16_r18-w8_fpn_12e_cbc.py'
model = dict(
    review=None,
    methods=dict(mgd=dict(type='MGD', weight=5e-7, mask_ratio=0.45)),
    strides=[4, 8, 16, 32],
)
