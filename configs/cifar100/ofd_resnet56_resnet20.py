_base_ = '../_base_/cifar100_resnet56_resnet20.py'
# features before the activation, the stages alone; as in public code, the teacher's
# BatchNorms have the statistics of the batch
model = dict(
    student=dict(levels='before'),
    teacher=dict(levels='before', batch_statistics=True),
    methods=dict(ofd=dict(type='OFD', weight=0.001)),
)
