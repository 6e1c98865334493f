_base_ = './resnet8x4.py'
teacher = dict(
    config='mmreviewkd::cifar100/resnet32x4.py',
    checkpoint='work_dirs/resnet32x4/epoch_240.pth',
)
crd = dict(type='CRD', weight=0.8, num_samples=50000)
model = dict(_delete_=True, type='ReviewKD', student=_base_.model)
model.update(teacher=teacher, methods=dict(crd=crd))
# as in the benchmark of CRD: batch 64, lr 0.05, no Nesterov momentum
train_dataloader = dict(batch_size=64)
optim_wrapper = dict(optimizer=dict(lr=0.05, nesterov=False))
auto_scale_lr = dict(base_batch_size=64)
