_base_ = './mask-rcnn_r18_fpn_ms-1x_coco.py'
custom_imports = dict(imports=['mmreviewkd'], allow_failed_imports=False)
model = dict(
    _delete_=True,
    type='ReviewKD',
    student=_base_.model,
    teacher=dict(
        config='mmdet::mask_rcnn/mask-rcnn_r101_fpn_ms-poly-3x_coco.py',
        checkpoint='https://download.openmmlab.com/mmdetection/v2.0/mask_rcnn/mask_rcnn_r101_fpn_mstrain-poly_3x_coco/mask_rcnn_r101_fpn_mstrain-poly_3x_coco_20210524_200244-5675c317.pth',
    ),
    review=dict(weight=1.5),
)
