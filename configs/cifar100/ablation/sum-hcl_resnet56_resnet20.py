_base_ = '../review-kd_resnet56_resnet20.py'
# HCL, without ABF
model = dict(review=dict(fusion='sum', distance='hcl'))
