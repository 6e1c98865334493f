_base_ = './resnet18.py'
model = dict(
    _delete_=True,
    type='ReviewKD',
    student=_base_.model,
    teacher=dict(
        config='mmreviewkd::imagenet/resnet34.py', checkpoint='torchvision://resnet34'
    ),
    review=dict(weight=1.0),
)
