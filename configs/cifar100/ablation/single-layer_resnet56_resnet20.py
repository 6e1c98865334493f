_base_ = '../review-kd_resnet56_resnet20.py'
# figure (b): one level, the second stage, as FitNets have it
model = dict(
    student=dict(levels=['layer2']),
    teacher=dict(levels=['layer2']),
    review=dict(fusion='none', distance='l2'),
)
