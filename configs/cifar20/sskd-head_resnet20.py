# SSKD's first phase: a quarter of the epochs, as published, rounded up
_base_ = '../_base_/cifar20.py'
model = dict(
    type='SelfSupervisedHead',
    teacher=dict(
        config='mmreviewkd::cifar20/resnet20.py',
        checkpoint='work_dirs/cifar20_resnet20/epoch_10.pth',
    ),
    data_preprocessor=dict(rotations=True),
)
train_cfg = dict(max_epochs=3)
# a half and three quarters of 471 iterations
param_scheduler = [dict(type='MultiStepLR', by_epoch=False, milestones=[235, 353])]
default_hooks = dict(checkpoint=dict(save_best=None))
# it predicts nothing; the log has its loss and its accuracy
val_dataloader = val_cfg = val_evaluator = None
test_dataloader = test_cfg = test_evaluator = None
