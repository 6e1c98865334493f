_base_ = './fixed_faster-rcnn_r18-w16_r18-w8_fpn_6e_deeppcb.py'
model = dict(review=dict(weight='auto'))
