_base_ = '../_base_/glyphs.py'
# half of the teacher's widths
model = dict(
    backbone=dict(type='CifarResNet', depth=8, widths=(8, 8, 16, 32), num_classes=10)
)
