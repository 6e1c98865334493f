# CRD and, with weight 1, KD, beside the whole of the student's own loss
_base_ = './crd_resnet32x4_resnet8x4.py'
model = dict(methods=dict(kd=dict(type='KDLoss', weight=1.0, temperature=4.0)))
