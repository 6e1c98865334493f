_base_ = './review-kd_retinanet_r18-w16_r18-w8_fpn_12e_cbc.py'
model = dict(
    review=None,
    methods=dict(mgd=dict(type='MGD', weight=2e-5, mask_ratio=0.65)),
)
