_base_ = './retinanet_r18-w16_fpn_12e_cbc.py'
# half of the teacher's width everywhere
model = dict(
    backbone=dict(base_channels=8),
    neck=dict(in_channels=[8, 16, 32, 64], out_channels=32),
    bbox_head=dict(in_channels=32, feat_channels=32),
)
