_base_ = '../_base_/cifar100_resnet32x4_resnet8x4.py'
# features before the activation, the stages alone
model = dict(
    student=dict(levels='before'),
    teacher=dict(levels='before'),
    methods=dict(ofd=dict(type='OFD', weight=0.001)),
)
