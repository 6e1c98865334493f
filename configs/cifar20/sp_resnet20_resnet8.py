_base_ = '../_base_/cifar20_resnet20_resnet8.py'
model = dict(methods=dict(sp=dict(type='SimilarityPreserving', weight=3000.0)))
