# with the teacher, features and schedule of attention transfer; weight 3000
_base_ = './at_resnet56_resnet20.py'
model = dict(
    methods=dict(_delete_=True, sp=dict(type='SimilarityPreserving', weight=3000.0))
)
