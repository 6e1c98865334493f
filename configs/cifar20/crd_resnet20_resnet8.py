_base_ = '../_base_/cifar20_resnet20_resnet8.py'
# 16384 of 50000 images, as published, are 3276 of these 10000
crd = dict(type='CRD', weight=0.8, num_samples=10000, num_negatives=3276)
model = dict(methods=dict(crd=crd))
