_base_ = '../_base_/cifar100_resnet56_resnet20.py'
model = dict(methods=dict(fitnet=dict(type='FitNet', weight=100.0)))
