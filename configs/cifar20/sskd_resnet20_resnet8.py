# sskd-head_resnet20.py runs before
_base_ = '../_base_/cifar20_resnet20_resnet8.py'
head = 'work_dirs/cifar20_sskd-head/epoch_3.pth'
model = dict(
    student=dict(loss_weight=0.1, data_preprocessor=dict(rotations=True)),
    methods=dict(sskd=dict(type='SSKD', weight=1.0, teacher_head=head)),
)
