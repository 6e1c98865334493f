_base_ = '../_base_/cifar20_resnet20_resnet8.py'
# the formula of the benchmark, not the paper's
model = dict(methods=dict(cc=dict(type='CC', weight=0.02)))
