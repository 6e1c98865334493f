_base_ = './resnet56.py'
# the teacher of single-layer distillation shows its second stage alone
model = dict(levels=['layer2'])
