_base_ = '../review-kd_resnet34_resnet18.py'
# as the authors' code runs: ResNets' features are taken after the activation
model = dict(
    student=dict(levels='after'),
    teacher=dict(levels='after'),
)
