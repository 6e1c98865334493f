# the schedule of CRD's benchmark: batch 64, lr 0.05, no Nesterov momentum
_base_ = './cifar100.py'
train_dataloader = dict(batch_size=64)
optim_wrapper = dict(optimizer=dict(lr=0.05, nesterov=False))
auto_scale_lr = dict(base_batch_size=64)
