_base_ = '../review-kd_resnet20_resnet8.py'
# HCL, without ABF
model = dict(review=dict(fusion='sum', distance='hcl'))
