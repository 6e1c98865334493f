_base_ = '../review-kd_resnet20_resnet8.py'
# residual fusion by plain sum
model = dict(review=dict(fusion='sum', distance='l2'))
