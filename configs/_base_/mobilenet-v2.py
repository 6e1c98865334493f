# The last feature is that of 320 channels; the 1280 behind it, made for the
# classifier of ImageNet, run without a loss, which DDP has to be told
mobilenet_v2 = dict(
    _delete_=True,
    type='MobileNetV2',
    out_indices=(1, 2, 4, 6),
    norm_cfg=dict(type='BN', requires_grad=False),
    norm_eval=True,
    init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://mmdet/mobilenet_v2'),
)
find_unused_parameters = True
