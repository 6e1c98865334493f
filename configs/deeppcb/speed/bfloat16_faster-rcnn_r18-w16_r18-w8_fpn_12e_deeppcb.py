_base_ = '../review-kd_faster-rcnn_r18-w16_r18-w8_fpn_12e_deeppcb.py'
# teacher and review in bfloat16
model = dict(teacher=dict(precision='bfloat16'), review=dict(precision='bfloat16'))
