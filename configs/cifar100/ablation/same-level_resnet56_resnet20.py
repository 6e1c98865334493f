_base_ = '../review-kd_resnet56_resnet20.py'
# figure (c): each level with the same of the teacher, no review
model = dict(review=dict(fusion='none', distance='l2'))
