_base_ = './fixed_faster-rcnn_r18-w16_r18-w8_fpn_12e_cbc.py'
model = dict(review=dict(weight='auto'))
