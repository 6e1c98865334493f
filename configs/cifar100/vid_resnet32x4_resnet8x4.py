_base_ = '../_base_/cifar100_resnet32x4_resnet8x4.py'
model = dict(methods=dict(vid=dict(type='VID', weight=1.0)))
