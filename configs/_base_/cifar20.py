# The first 20 classes of CIFAR-100 in a short schedule: a CPU's morning
_base_ = './cifar100.py'
train_dataloader = dict(
    batch_size=64,
    dataset=dict(
        _delete_=True,
        type='ArchiveImages',
        path='data/cifar100/train.npz',
        num_classes=100,
        only_classes=20,
    ),
)
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ArchiveImages',
        path='data/cifar100/test.npz',
        num_classes=100,
        only_classes=20,
    )
)
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=10, val_interval=2)
optim_wrapper = dict(optimizer=dict(lr=0.05))
param_scheduler = [dict(type='MultiStepLR', by_epoch=True, milestones=[6, 9])]
auto_scale_lr = dict(base_batch_size=64)
