_base_ = '../review-kd_resnet56_resnet20.py'
# figure (d): every level with all shallower ones of the teacher, no fusion
model = dict(review=dict(fusion='pairs', distance='l2'))
