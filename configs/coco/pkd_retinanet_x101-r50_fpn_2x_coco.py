_base_ = './review-kd_retinanet_x101-r50_fpn_2x_coco.py'
model = dict(
    review=None,
    methods=dict(pkd=dict(type='PKD', weight=10.0)),
    strides=[8, 16, 32, 64],
)
