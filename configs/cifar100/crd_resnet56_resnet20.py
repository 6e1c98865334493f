# with the schedule of attention transfer; weight 0.8, without KD
_base_ = './at_resnet56_resnet20.py'
model = dict(
    methods=dict(_delete_=True, crd=dict(type='CRD', weight=0.8, num_samples=50000))
)
