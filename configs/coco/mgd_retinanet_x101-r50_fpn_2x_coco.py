_base_ = './review-kd_retinanet_x101-r50_fpn_2x_coco.py'
model = dict(
    review=None,
    teacher=dict(
        config='mmdet::retinanet/retinanet_x101-64x4d_fpn_ms-640-800-3x_coco.py',
        checkpoint='https://download.openmmlab.com/mmdetection/v2.0/retinanet/retinanet_x101_64x4d_fpn_mstrain_3x_coco/retinanet_x101_64x4d_fpn_mstrain_3x_coco_20210719_051838-022c2187.pth',
    ),
    methods=dict(mgd=dict(type='MGD', weight=2e-5, mask_ratio=0.65)),
    inherit=['neck', 'bbox_head'],
)
optim_wrapper = dict(clip_grad=dict(max_norm=35))
