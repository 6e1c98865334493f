_base_ = './resnet56.py'
# the teacher for methods that are published with features after the activation
model = dict(levels='after')
