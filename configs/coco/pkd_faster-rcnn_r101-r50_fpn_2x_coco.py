_base_ = './review-kd_faster-rcnn_r101-r50_fpn_2x_coco.py'
model = dict(
    review=None,
    methods=dict(pkd=dict(type='PKD', weight=6.0)),
    strides=[4, 8, 16, 32],
)
