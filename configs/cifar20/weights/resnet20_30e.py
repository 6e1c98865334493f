_base_ = '../resnet20.py'
# a teacher much stronger than the student
train_cfg = dict(max_epochs=30)
param_scheduler = [dict(type='MultiStepLR', by_epoch=True, milestones=[18, 27])]
