"""Palettes that a config inherited for fewer classes."""

import json

from mmreviewkd.engine.palettes import complete_palettes

from mmdet.datasets import CocoDataset
from mmdet.visualization.palette import get_palette
from mmengine.config import Config

PALETTE = [(220, 20, 60), (119, 11, 32)]


def config(*metas):
    """Datasets with these metainfos in a ConcatDataset, twice."""
    data = [dict(type='CocoDataset', metainfo=meta) for meta in metas]
    both = dict(dataset=dict(type='ConcatDataset', datasets=data))
    return Config(dict(train_dataloader=both, val_dataloader=both))


def palettes(cfg, split):
    return [
        each.metainfo.palette for each in cfg[f'{split}_dataloader'].dataset.datasets
    ]


def test_generated_where_colours_are_too_few():
    cfg = config(
        dict(classes=tuple('abcdefg'), palette=PALETTE, more=1),
        dict(classes=tuple('abcdefg'), palette=PALETTE),
        dict(classes=('a', 'b'), palette=PALETTE),
    )
    assert complete_palettes(cfg, 'train') == [
        'metainfo.palette has 2 colours for 7 classes; generated ones are used instead'
    ]
    first, second, third = palettes(cfg, 'train')
    assert first == second and third == PALETTE
    # mmdet's visualizer takes it, and the config can be written
    assert get_palette(list(first), 7) == first
    assert cfg.train_dataloader.dataset.datasets[0].metainfo.more == 1
    json.dumps(cfg.to_dict())
    assert palettes(cfg, 'val') == [PALETTE] * 3
    assert complete_palettes(cfg, 'train', 'test') == []


def test_the_datasets_own_colours_count():
    names = [f'class {i}' for i in range(81)]
    cfg = config(dict(classes=names), dict(classes=names[:80]))
    assert len(complete_palettes(cfg, 'train')) == 1
    first, second = cfg.train_dataloader.dataset.datasets
    assert len(first.metainfo.palette) == 81
    assert 'palette' not in second.metainfo
    assert len(CocoDataset.METAINFO['palette']) == 80


def test_datasets_without_colours_or_classes():
    cfg = config({}, dict(classes='classes.txt', palette=PALETTE))
    cfg.train_dataloader.dataset.datasets.append(dict(type='CIFAR'))
    assert complete_palettes(cfg, 'train') == []
