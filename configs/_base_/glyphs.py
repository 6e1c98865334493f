# Shapes, full or hollow, 32x32, drawn by "mmreviewkd demo-cls"
_base_ = './cifar100.py'
data_root = 'work_dirs/demo_cls/data/'
train_dataloader = dict(
    batch_size=64,
    dataset=dict(
        _delete_=True,
        type='ArchiveImages',
        path=data_root + 'train.npz',
        num_classes=10,
    ),
)
val_dataloader = dict(
    batch_size=100,
    dataset=dict(
        _delete_=True, type='ArchiveImages', path=data_root + 'test.npz', num_classes=10
    ),
)
test_dataloader = val_dataloader

# from scratch in 6 epochs, the last of which is the one reported
train_cfg = dict(max_epochs=6)
optim_wrapper = dict(optimizer=dict(lr=0.05))
param_scheduler = [
    dict(type='CosineAnnealingLR', T_max=6, by_epoch=True, convert_to_iter_based=True)
]
auto_scale_lr = dict(base_batch_size=64)
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(max_keep_ckpts=2))
