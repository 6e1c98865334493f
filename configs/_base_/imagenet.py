# ImageNet as published: batch 256 on 4 GPUs, 100 epochs
_base_ = './cifar100.py'
train_dataloader = dict(
    batch_size=64,
    num_workers=8,
    persistent_workers=True,
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(
        _delete_=True,
        type='FolderImages',
        data_root='data/imagenet/train',
        num_classes=1000,
        train=True,
    ),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=8,
    persistent_workers=True,
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(
        _delete_=True,
        type='FolderImages',
        data_root='data/imagenet/val',
        num_classes=1000,
        train=False,
    ),
)
test_dataloader = val_dataloader
# features before the activation on both sides
model = dict(
    input_size=224,
    levels='before',
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        padding=0,
        flip=False,
    ),
)
train_cfg = dict(max_epochs=100)
optim_wrapper = dict(optimizer=dict(weight_decay=1e-4, nesterov=False))
param_scheduler = [dict(type='MultiStepLR', by_epoch=True, milestones=[30, 60, 90])]
auto_scale_lr = dict(base_batch_size=256)
