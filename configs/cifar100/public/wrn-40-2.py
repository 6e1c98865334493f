_base_ = ['../wrn-40-2.py', '../../_base_/cifar100_public.py']
model = dict(data_preprocessor=_base_.public_statistics)
