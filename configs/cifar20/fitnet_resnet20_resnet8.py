_base_ = '../_base_/cifar20_resnet20_resnet8.py'
model = dict(methods=dict(fitnet=dict(type='FitNet', weight=100.0)))
