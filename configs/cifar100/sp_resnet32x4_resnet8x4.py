_base_ = '../_base_/cifar100_resnet32x4_resnet8x4.py'
model = dict(methods=dict(sp=dict(type='SimilarityPreserving', weight=3000.0)))
