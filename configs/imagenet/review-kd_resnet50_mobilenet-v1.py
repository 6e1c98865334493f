_base_ = './mobilenet-v1.py'
model = dict(
    _delete_=True,
    type='ReviewKD',
    student=_base_.model,
    teacher=dict(
        config='mmreviewkd::imagenet/resnet50.py', checkpoint='torchvision://resnet50'
    ),
    review=dict(weight=8.0, mid_channels=256),
)
