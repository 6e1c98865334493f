_base_ = '../_base_/cifar100_resnet32x4_resnet8x4.py'
# the formula of the benchmark, not the paper's
model = dict(methods=dict(cc=dict(type='CC', weight=0.02)))
