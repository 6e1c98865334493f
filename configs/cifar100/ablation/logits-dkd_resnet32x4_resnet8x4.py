_base_ = '../review-kd_resnet32x4_resnet8x4.py'
# decoupled KD alone (arXiv 2203.08679), which warms up over 20 epochs as well
model = dict(review=dict(weight=0.0), logits=dict(type='DKDLoss', beta=8.0))
