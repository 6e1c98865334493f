_base_ = '../review-kd_resnet20_resnet8.py'
# review: every level with all shallower ones of the teacher, no fusion
model = dict(review=dict(fusion='pairs', distance='l2'))
