_base_ = '../_base_/glyphs.py'
model = dict(backbone=dict(type='CifarResNet', depth=14, num_classes=10))
