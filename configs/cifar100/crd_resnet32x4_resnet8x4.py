_base_ = '../_base_/cifar100_resnet32x4_resnet8x4.py'
model = dict(methods=dict(crd=dict(type='CRD', weight=0.8, num_samples=50000)))
