_base_ = './review-kd_faster-rcnn_r18-w16_r18-w8_fpn_12e_cbc.py'
fgd = dict(foreground=5e-5, background=2.5e-5, attention=5e-5, relation=5e-7)
model = dict(
    review=None,
    methods=dict(fgd=dict(type='FGD', weight=1.0, **fgd)),
    strides=[4, 8, 16, 32],
)
