_base_ = '../resnet8.py'
# a teacher weaker than the student
train_cfg = dict(max_epochs=2)
param_scheduler = [dict(type='MultiStepLR', by_epoch=True, milestones=[1])]
