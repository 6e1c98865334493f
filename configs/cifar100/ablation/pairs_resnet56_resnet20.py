_base_ = '../review-kd_resnet56_resnet20.py'
# review mechanism: every level with all shallower ones of the teacher
model = dict(review=dict(fusion='pairs', distance='l2'))
