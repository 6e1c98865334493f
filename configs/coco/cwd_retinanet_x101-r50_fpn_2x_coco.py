_base_ = './review-kd_retinanet_x101-r50_fpn_2x_coco.py'
model = dict(
    review=None,
    methods=dict(cwd=dict(type='CWD', weight=5.0, temperature=1.0)),
    strides=[8, 16, 32, 64],
)
