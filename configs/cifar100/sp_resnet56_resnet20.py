_base_ = '../_base_/cifar100_resnet56_resnet20.py'
model = dict(methods=dict(sp=dict(type='SimilarityPreserving', weight=3000.0)))
