# The first phase of SSKD as published: 60 epochs, batch 64, lr 0.05 without Nesterov
_base_ = './cifar100.py'
model = dict(type='SelfSupervisedHead', data_preprocessor=dict(rotations=True))
train_dataloader = dict(batch_size=64)
optim_wrapper = dict(optimizer=dict(lr=0.05, nesterov=False))
auto_scale_lr = dict(base_batch_size=64)
train_cfg = dict(max_epochs=60)
param_scheduler = [dict(type='MultiStepLR', by_epoch=True, milestones=[30, 45])]
default_hooks = dict(checkpoint=dict(save_best=None))
# it predicts nothing; the log has its loss and its accuracy
val_dataloader = val_cfg = val_evaluator = None
test_dataloader = test_cfg = test_evaluator = None
