_base_ = '../pairs/review-kd_fcos-x101_retinanet-r50_fpn_1x_coco.py'
model = dict(
    review=None,
    methods=dict(pkd=dict(type='PKD', weight=10.0)),
    strides=[8, 16, 32, 64],
)
