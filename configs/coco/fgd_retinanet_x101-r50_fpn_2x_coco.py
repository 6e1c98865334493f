_base_ = './review-kd_retinanet_x101-r50_fpn_2x_coco.py'
fgd = dict(foreground=1e-3, background=5e-4, attention=5e-4, relation=5e-6)
model = dict(
    review=None,
    methods=dict(fgd=dict(type='FGD', weight=1.0, **fgd)),
    inherit=['neck', 'bbox_head'],
)
optim_wrapper = dict(clip_grad=dict(max_norm=35))
