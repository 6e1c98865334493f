"""A user's folder: configs of a tiny detector, plain and distilled."""

import mmreviewkd  # noqa: F401
from tests.support.detectors import tiny_detector

PLAIN_CONFIG = """
_base_ = 'mmdet::_base_/default_runtime.py'
model = {model}
pipeline = [dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=(128, 96), keep_ratio=True),
            dict(type='LoadAnnotations', with_bbox=True)]
train_dataloader = dict(
    batch_size=4, num_workers=0, sampler=dict(type='DefaultSampler',
                                              shuffle=True),
    dataset=dict(type='CocoDataset', data_root='{root}/',
                 metainfo=dict(classes=('a', 'b')), ann_file='train.json',
                 data_prefix=dict(img='train/'),
                 pipeline=[*pipeline, dict(type='PackDetInputs')]))
val_dataloader = dict(
    batch_size=2, num_workers=0, sampler=dict(type='DefaultSampler',
                                              shuffle=False),
    dataset=dict(type='CocoDataset', data_root='{root}/', test_mode=True,
                 metainfo=dict(classes=('a', 'b')), ann_file='val.json',
                 data_prefix=dict(img='val/'),
                 pipeline=[*pipeline,
                           dict(type='PackDetInputs',
                                meta_keys=('img_id', 'img_path', 'ori_shape',
                                           'img_shape', 'scale_factor'))]))
test_dataloader = val_dataloader
val_evaluator = dict(type='CocoMetric', ann_file='{root}/val.json',
                     metric='bbox')
test_evaluator = val_evaluator
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=2, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=1e-3))
auto_scale_lr = dict(enable=False, base_batch_size=4)
default_hooks = dict(logger=dict(interval=1))
randomness = dict(seed=0)
"""

DISTIL_CONFIG = """
_base_ = './{student}'
custom_imports = dict(imports=['mmreviewkd'], allow_failed_imports=False)
model = dict(_delete_=True, type='ReviewKD', student=_base_.model,
             teacher=dict(config='{teacher}', checkpoint='{checkpoint}'),
             review=dict(weight=1.0))
"""


def write_project(folder, coco, teachers):
    """Write plain.py, teacher.py and distil.py, of Faster R-CNNs, into a folder.

    Args:
        folder (Path): Of the user.
        coco (Path): The dataset, as :func:`write_coco` wrote it.
        teachers (dict): As the fixture of this name has them.
    """
    teacher = teachers['faster_rcnn']
    for name, model in (('plain', tiny_detector()), ('teacher', teacher['config'])):
        (folder / f'{name}.py').write_text(
            PLAIN_CONFIG.format(model=model.to_dict(), root=coco)
        )
    (folder / 'distil.py').write_text(
        DISTIL_CONFIG.format(
            student='plain.py',
            teacher=folder / 'teacher.py',
            checkpoint=teacher['checkpoint'],
        )
    )
    return folder
