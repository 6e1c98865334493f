_base_ = '../review-kd_faster-rcnn_r18-w16_r18-w8_fpn_12e_cbc.py'
# without stride 4, the largest level
model = dict(strides=[8, 16, 32, 64])
