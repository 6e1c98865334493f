# sskd-head_resnet32x4.py runs before
_base_ = '../_base_/cifar100_resnet32x4_resnet8x4.py'
head = 'work_dirs/sskd-head_resnet32x4/epoch_60.pth'
model = dict(
    student=dict(loss_weight=0.1, data_preprocessor=dict(rotations=True)),
    methods=dict(sskd=dict(type='SSKD', weight=1.0, teacher_head=head)),
)
