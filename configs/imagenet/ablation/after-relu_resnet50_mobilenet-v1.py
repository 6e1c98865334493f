_base_ = '../review-kd_resnet50_mobilenet-v1.py'
# as the authors' code runs: ResNets' features are taken after the activation,
# MobileNetV1's before it
model = dict(teacher=dict(levels='after'))
