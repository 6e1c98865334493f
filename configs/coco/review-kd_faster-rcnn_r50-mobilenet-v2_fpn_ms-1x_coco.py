_base_ = './faster-rcnn_mobilenet-v2_fpn_ms-1x_coco.py'
custom_imports = dict(imports=['mmreviewkd'], allow_failed_imports=False)
model = dict(
    _delete_=True,
    type='ReviewKD',
    student=_base_.model,
    teacher=dict(
        config='mmdet::faster_rcnn/faster-rcnn_r50_fpn_ms-3x_coco.py',
        checkpoint='https://download.openmmlab.com/mmdetection/v2.0/faster_rcnn/faster_rcnn_r50_fpn_mstrain_3x_coco/faster_rcnn_r50_fpn_mstrain_3x_coco_20210524_110822-e10bd31c.pth',
    ),
    review=dict(weight=2.0),
)
