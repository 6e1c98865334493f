_base_ = './fixed_resnet8_resnet8-w8.py'
model = dict(review=dict(weight='auto'))
