_base_ = '../review-kd_resnet56_resnet20.py'
# ABF, without HCL
model = dict(review=dict(fusion='abf', distance='l2'))
