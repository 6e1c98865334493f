"""The configs of docs/own_data.md, as they stand there."""

import json
import re
from pathlib import Path

from mmreviewkd.commands import COMMANDS

import numpy as np
import pytest
import torch
from mmdet.registry import DATASETS, METRICS, MODELS
from mmengine.config import Config
from PIL import Image

TEXT = Path(__file__).parents[1].joinpath('docs', 'own_data.md').read_text('utf-8')
CLASSES = ('fish', 'jellyfish', 'penguin', 'puffin', 'shark', 'starfish', 'stingray')


@pytest.fixture
def configs(tmp_path, monkeypatch):
    """Both configs, in a folder with a photo for each split."""
    for name, text in zip(
        ('big', 'small'), re.findall(r'```python\n(.*?)```', TEXT, re.DOTALL)
    ):
        assert text.startswith(f'# {name}.py: ')
        (tmp_path / f'{name}.py').write_text(text)
    for split in ('train', 'val'):
        folder = tmp_path / 'photos' / 'images' / split
        folder.mkdir(parents=True)
        Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(folder / 'one.jpg')
        content = dict(
            images=[dict(id=0, file_name='one.jpg', width=60, height=40)],
            annotations=[
                dict(
                    id=1,
                    image_id=0,
                    category_id=7,
                    bbox=[5, 5, 20, 20],
                    area=400,
                    iscrowd=0,
                )
            ],
            categories=[dict(id=i, name=name) for i, name in enumerate(CLASSES, 1)],
        )
        annotations = tmp_path / 'photos' / 'annotations'
        annotations.mkdir(exist_ok=True)
        (annotations / f'{split}.json').write_text(json.dumps(content))
    monkeypatch.chdir(tmp_path)
    return [Config.fromfile(f'{name}.py') for name in ('big', 'small')]


def test_both_are_detectors_of_seven_classes(configs):
    for config, depth in zip(configs, (50, 18)):
        model = MODELS.build(config.model)
        # the neck fits the backbone
        assert len(model.extract_feat(torch.zeros(1, 3, 64, 64))) == 5
        assert model.backbone.depth == depth
        assert model.roi_head.bbox_head.num_classes == 7
    big, small = configs
    assert big.load_from.startswith('https://') and small.load_from is None
    assert small.model.backbone.init_cfg.checkpoint == 'torchvision://resnet18'


def test_all_five_settings_name_the_data(configs):
    for config in configs:
        for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
            dataset = DATASETS.build(config[loader].dataset)
            assert dataset.metainfo['classes'] == CLASSES
            assert len(dataset.metainfo['palette']) == 7
            (found,) = dataset.get_data_info(0)['instances']
            assert found['bbox_label'] == 6
        for evaluator in ('val_evaluator', 'test_evaluator'):
            assert len(METRICS.build(config[evaluator])._coco_api.cats) == 7
        assert 'data/coco' not in config.val_evaluator.ann_file


def test_commands_that_it_names_are_there():
    used = re.findall(r'^(?:\| .* )?`?mmreviewkd ([\w-]+) ', TEXT, re.MULTILINE)
    wanted = {'convert', 'train', 'distill', 'compare', 'visualize', 'export', 'test'}
    assert wanted <= set(used) <= set(COMMANDS)
