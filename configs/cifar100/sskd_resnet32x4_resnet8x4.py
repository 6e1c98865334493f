# with the schedule of CRD; sskd-head_resnet32x4.py runs before
_base_ = './crd_resnet32x4_resnet8x4.py'
model = dict(
    student=dict(loss_weight=0.1, data_preprocessor=dict(rotations=True)),
    methods=dict(
        _delete_=True,
        sskd=dict(
            type='SSKD', teacher_head='work_dirs/sskd-head_resnet32x4/epoch_60.pth'
        ),
    ),
)
