_base_ = './review-kd_cascade-mask-rcnn-x101-dcn_faster-rcnn-r50_fpn_2x_coco.py'
fgd = dict(foreground=5e-5, background=2.5e-5, attention=5e-5, relation=5e-7)
model = dict(
    review=None,
    methods=dict(fgd=dict(type='FGD', weight=1.0, **fgd)),
    strides=[4, 8, 16, 32],
)
optim_wrapper = dict(clip_grad=dict(max_norm=35))
