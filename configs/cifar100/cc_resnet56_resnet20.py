_base_ = '../_base_/cifar100_resnet56_resnet20.py'
# the formula of the benchmark, not the paper's
model = dict(methods=dict(cc=dict(type='CC', weight=0.02)))
