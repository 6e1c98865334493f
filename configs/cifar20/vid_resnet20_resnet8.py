_base_ = '../_base_/cifar20_resnet20_resnet8.py'
model = dict(methods=dict(vid=dict(type='VID', weight=1.0)))
