_base_ = '../_base_/cifar100_resnet56_resnet20.py'
model = dict(methods=dict(vid=dict(type='VID', weight=1.0)))
