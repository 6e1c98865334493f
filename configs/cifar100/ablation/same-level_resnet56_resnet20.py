_base_ = '../review-kd_resnet56_resnet20.py'
# same levels alone: no review
model = dict(review=dict(fusion='none', distance='l2'))
