_base_ = '../_base_/cifar100_resnet32x4_resnet8x4.py'
model = dict(methods=dict(fitnet=dict(type='FitNet', weight=100.0)))
