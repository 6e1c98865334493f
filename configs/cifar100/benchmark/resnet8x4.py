_base_ = '../../_base_/cifar100_benchmark.py'
model = dict(backbone=dict(type='CifarResNet', depth=8, widths=(32, 64, 128, 256)))
