_base_ = '../_base_/cifar100_resnet56_resnet20.py'
model = dict(methods=dict(crd=dict(type='CRD', weight=0.8, num_samples=50000)))
