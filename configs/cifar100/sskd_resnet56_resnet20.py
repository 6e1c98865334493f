# with the schedule of attention transfer; sskd-head_resnet56.py runs before
_base_ = './at_resnet56_resnet20.py'
model = dict(
    student=dict(loss_weight=0.1, data_preprocessor=dict(rotations=True)),
    methods=dict(
        _delete_=True,
        sskd=dict(
            type='SSKD', teacher_head='work_dirs/sskd-head_resnet56/epoch_60.pth'
        ),
    ),
)
