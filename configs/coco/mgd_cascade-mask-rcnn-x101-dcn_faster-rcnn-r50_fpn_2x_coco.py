_base_ = './review-kd_cascade-mask-rcnn-x101-dcn_faster-rcnn-r50_fpn_2x_coco.py'
model = dict(
    review=None,
    methods=dict(mgd=dict(type='MGD', weight=5e-7, mask_ratio=0.45)),
    strides=[4, 8, 16, 32],
)
optim_wrapper = dict(clip_grad=dict(max_norm=35))
