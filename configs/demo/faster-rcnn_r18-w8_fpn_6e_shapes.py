_base_ = './faster-rcnn_r18-w32_fpn_6e_shapes.py'
# a quarter of the teacher's width, half of it in neck and heads
model = dict(
    backbone=dict(base_channels=8),
    neck=dict(in_channels=[8, 16, 32, 64], out_channels=32),
    rpn_head=dict(in_channels=32, feat_channels=32),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=32),
        bbox_head=dict(in_channels=32, fc_out_channels=128),
    ),
)
