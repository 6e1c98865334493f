"""Completes palettes that are too short, before a checkpoint keeps them."""

from typing import Any

from mmdet.registry import DATASETS
from mmengine.config import Config

from ..visualization.palette import class_colors, is_short
from .check_data import datasets


def complete_palettes(cfg: Config, *splits: str) -> list[str]:
    """Generate new palettes for datasets with fewer colours than classes.

    A config that inherits another one and sets only ``classes`` keeps its palette.
    mmdet's visualizers refuse a palette that is too short, and each checkpoint
    contains it.

    Args:
        cfg (Config): The config; the metainfo of its datasets is changed.
        splits (str): Splits to look at: ``'train'``, ``'val'`` or ``'test'``.

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
            if not classes or isinstance(classes, str):  # a str is a file name
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
    """Return the metainfo of a dataset's class, which its config overrides."""
    kind = dataset.get('type')
    if isinstance(kind, str):
        kind = DATASETS.get(kind)
    return getattr(kind, 'METAINFO', {})
