# The first phase of SSKD as published: 60 epochs with the schedule of CRD's benchmark
_base_ = './cifar100_benchmark.py'
model = dict(type='SelfSupervisedHead', data_preprocessor=dict(rotations=True))
train_cfg = dict(max_epochs=60)
param_scheduler = [dict(type='MultiStepLR', by_epoch=True, milestones=[30, 45])]
default_hooks = dict(checkpoint=dict(save_best=None))
# it predicts nothing; the log has its loss and its accuracy
val_dataloader = val_cfg = val_evaluator = None
test_dataloader = test_cfg = test_evaluator = None
