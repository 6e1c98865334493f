_base_ = '../review-kd_resnet20_resnet8.py'
# ABF, without HCL
model = dict(review=dict(fusion='abf', distance='l2'))
