_base_ = './review-kd_retinanet_r18-w16_r18-w8_fpn_12e_cbc.py'
fgd = dict(foreground=1e-3, background=5e-4, attention=5e-4, relation=5e-6)
model = dict(
    review=None,
    methods=dict(fgd=dict(type='FGD', weight=1.0, **fgd)),
)
