_base_ = ['../resnet56.py', '../../_base_/cifar100_public.py']
model = dict(data_preprocessor=_base_.public_statistics)
