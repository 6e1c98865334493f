"""A dataset without images says so."""

import json

from mmreviewkd.compat.empty_dataset import name_empty_datasets
from mmreviewkd.errors import UserInputError

import pytest
from mmdet.registry import DATASETS


@pytest.mark.parametrize(
    'options, reason',
    [
        (
            dict(filter_cfg=dict(filter_empty_gt=True)),
            'filter_cfg, by which images without boxes or small ones are left out, '
            "is {'filter_empty_gt': True}",
        ),
        (dict(indices=0), 'its annotations list none'),
        (
            dict(filter_cfg=dict(filter_empty_gt=True), test_mode=True, indices=0),
            'its annotations list none',
        ),
    ],
)
def test_no_image_is_left(options, reason, coco, tmp_path):
    name_empty_datasets()
    name_empty_datasets()
    content = json.loads((coco / 'train.json').read_text())
    content['annotations'] = []
    path = tmp_path / 'no_boxes.json'
    path.write_text(json.dumps(content))
    dataset = dict(
        type='CocoDataset',
        ann_file=str(path),
        data_prefix=dict(img='train'),
        metainfo=dict(classes=('a', 'b')),
    )
    with pytest.raises(UserInputError) as error:
        DATASETS.build(dict(dataset, **options))
    assert str(error.value) == f'no image is left of {path}: {reason}'
    assert len(DATASETS.build(dataset)) == 8
