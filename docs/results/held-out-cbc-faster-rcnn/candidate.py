# the type is given by the rows of table.yml
_base_ = '../../../configs/cbc/weights/fixed_faster-rcnn_r18-w16_r18-w8_fpn_12e_cbc.py'
custom_imports = dict(
    imports=['mmreviewkd', 'docs.results.candidates'], allow_failed_imports=False
)
model = dict(review=None, methods=dict(candidate=dict(type='NormalizedReview')))
