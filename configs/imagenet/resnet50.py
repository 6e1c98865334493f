_base_ = '../_base_/imagenet.py'
model = dict(backbone=dict(type='TorchvisionNetwork', name='resnet50'))
