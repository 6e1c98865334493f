_base_ = '../review-kd_resnet56_resnet20.py'
# review with residual fusion by plain sum
model = dict(review=dict(fusion='sum', distance='l2'))
