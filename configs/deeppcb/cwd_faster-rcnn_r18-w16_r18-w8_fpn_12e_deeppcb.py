_base_ = './review-kd_faster-rcnn_r18-w16_r18-w8_fpn_12e_deeppcb.py'
model = dict(
    review=None,
    methods=dict(cwd=dict(type='CWD', weight=10.0, temperature=1.0)),
)
