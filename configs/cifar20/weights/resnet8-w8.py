_base_ = '../../_base_/cifar20.py'
# half as wide as ResNet8
model = dict(
    backbone=dict(type='CifarResNet', depth=8, widths=(8, 8, 16, 32), num_classes=20)
)
