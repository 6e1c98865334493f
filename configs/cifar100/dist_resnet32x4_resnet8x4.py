_base_ = '../_base_/cifar100_resnet32x4_resnet8x4.py'
model = dict(methods=dict(dist=dict(type='DIST', weight=2.0, temperature=4.0)))
