_base_ = './fixed_resnet20_resnet8.py'
model = dict(review=dict(weight='auto'))
