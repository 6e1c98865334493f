_base_ = './resnet34.py'
# the teacher as the authors' code has it, where an in-place ReLU overwrites
# the stages' maps
model = dict(levels='after')
