_base_ = './fixed_resnet8x2_resnet8.py'
model = dict(review=dict(weight='auto'))
