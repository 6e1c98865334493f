_base_ = './resnet20.py'
# as in the benchmark of CRD: weight 1000, batch 64, lr 0.05, no Nesterov momentum
model = dict(
    _delete_=True,
    type='ReviewKD',
    student=_base_.model,
    teacher=dict(
        config='mmreviewkd::cifar100/resnet56.py',
        checkpoint='work_dirs/resnet56/epoch_240.pth',
        levels='after',
    ),
    methods=dict(at=dict(type='AttentionTransfer', weight=1000.0)),
)
train_dataloader = dict(batch_size=64)
optim_wrapper = dict(optimizer=dict(lr=0.05, nesterov=False))
auto_scale_lr = dict(base_batch_size=64)
