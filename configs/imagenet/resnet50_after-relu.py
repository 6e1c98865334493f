_base_ = './resnet50.py'
# the teacher as the authors' code has it, where an in-place ReLU overwrites
# the stages' maps
model = dict(levels='after')
