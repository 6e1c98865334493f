_base_ = '../../_base_/cifar20.py'
# twice as wide as ResNet8
model = dict(
    backbone=dict(type='CifarResNet', depth=8, widths=(32, 32, 64, 128), num_classes=20)
)
