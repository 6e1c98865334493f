"""A palette for all classes, before a checkpoint keeps a shorter one."""

from typing import Any

from mmdet.registry import DATASETS
from mmengine.config import Config

from ..visualization.palette import class_colors, is_short
from .check_data import datasets


def complete_palettes(cfg: Config, *splits: str) -> list[str]:
    """Generate the palettes that have fewer colours than there are classes.

    A config that inherits another's and sets only ``classes`` keeps its
    palette. mmdet's visualizers refuse such a one, whose place is also in
    each checkpoint.

    Args:
        cfg (Config): Its datasets' metainfo is changed.
        splits (str): ``'train'``, ``'val'`` or ``'test'``.

    Returns:
        list[str]: A warning for each palette that was too short.
    """
    warnings: dict[str, None] = {}
    for split in splits:
        dataloader = cfg.get(f'{split}_dataloader') or {}
        for dataset in datasets(dataloader.get('dataset')):
            meta = {**_metainfo(dataset), **(dataset.get('metainfo') or {})}
            classes: Any = meta.get('classes')
            palette: Any = meta.get('palette')
            if not classes or isinstance(classes, str):  # a file's name
                continue
            number = len(classes)
            if is_short(palette, number):
                warnings[
                    f'metainfo.palette has {len(palette)} colours for '
                    f'{number} classes; generated ones are used '
                    'instead'
                ] = None
                dataset.metainfo = dict(meta, palette=class_colors(number, palette))
    return list(warnings)


def _metainfo(dataset: dict) -> dict:
    """What a dataset's class has where its config says nothing."""
    kind = dataset.get('type')
    if isinstance(kind, str):
        kind = DATASETS.get(kind)
    return getattr(kind, 'METAINFO', {})
