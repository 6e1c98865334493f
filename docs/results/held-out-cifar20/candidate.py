# the type is given by the rows of table.yml
_base_ = '../../../configs/cifar20/weights/fixed_resnet20_resnet8.py'
custom_imports = dict(
    imports=['mmreviewkd', 'docs.results.candidates'], allow_failed_imports=False
)
model = dict(review=None, methods=dict(candidate=dict(type='NormalizedReview')))
