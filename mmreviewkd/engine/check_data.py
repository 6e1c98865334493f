"""Names the data files that are missing or cannot be read."""

import os.path as osp
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner
from pycocotools.coco import COCO

from ..compat.coco import name_annotation_files
from ..compat.empty_dataset import name_empty_datasets
from ..compat.images import name_unreadable_images
from ..errors import UnreadableImageError, UserInputError, few
from .check_categories import check_categories, warn_of_boxes_left_out


def name_files_in_errors() -> None:
    """Let errors of mmdet, mmengine and mmcv name the file that they could not use."""

    def check(ann_file: str, coco: COCO, classes: Sequence[str]) -> None:
        check_categories(ann_file, coco, classes)
        warn_of_boxes_left_out(ann_file, coco, classes)

    name_annotation_files(check)
    name_empty_datasets()
    name_unreadable_images()


def check_data(cfg: Config, *splits: str) -> None:
    """Check that annotation files and image folders exist before a run starts.

    Args:
        cfg (Config): The whole config.
        splits (str): Splits that will be used: ``'train'``, ``'val'`` or ``'test'``.

    Raises:
        UserInputError: Files or folders are missing; the message names all of them.
    """
    missing = []
    for split in splits:
        key = f'{split}_dataloader'
        for dataset in datasets((cfg.get(key) or {}).get('dataset')):
            root = dataset.get('data_root') or ''
            paths = [dataset.get('ann_file')]
            prefix = dataset.get('data_prefix') or {}
            paths += [prefix] if isinstance(prefix, str) else prefix.values()
            missing += [
                f'{osp.join(root, path)} ({key})'
                for path in paths
                if path
                and '://' not in root + path
                and not osp.exists(osp.join(root, path))
            ]
        metrics = cfg.get(f'{split}_evaluator') or []
        for metric in metrics if isinstance(metrics, list) else [metrics]:
            path = metric.get('ann_file')
            if path and '://' not in path and not osp.exists(path):
                missing.append(f'{path} ({split}_evaluator)')
    if missing and cfg.get('backend_args') is None:
        raise UserInputError(
            'no such file or folder: '
            + ', '.join(missing)
            + '. Set data_root in the config, or link the data '
            'there'
        )


def datasets(dataset: Any) -> Iterator[ConfigDict]:
    """Yield the innermost datasets inside wrappers such as RepeatDataset."""
    if isinstance(dataset, (list, tuple)):
        for each in dataset:
            yield from datasets(each)
    elif dataset:
        inner = dataset.get('dataset') or dataset.get('datasets')
        yield from datasets(inner) if inner else [dataset]


@contextmanager
def named_images(runner: Runner, *splits: str) -> Iterator[None]:
    """If a run stops at an unreadable image, name all missing or empty ones.

    Args:
        runner (Runner): Runner whose data have been built.
        splits (str): Splits that it uses: ``'train'``, ``'val'`` or ``'test'``.

    Raises:
        UnreadableImageError: Images are missing or empty, or one cannot be decoded;
            the message names them.
    """
    try:
        yield
    except UnreadableImageError as error:
        broken = [
            path
            for split in splits
            for path in _image_paths(runner, split)
            if '://' not in path and (not osp.isfile(path) or not osp.getsize(path))
        ]
        if not broken:
            raise
        raise UnreadableImageError(
            f'images are missing or empty: {few(broken, limit=5)}'
        ) from error


def _image_paths(runner: Runner, split: str) -> Iterator[str]:
    loop = getattr(runner, f'{split}_loop')
    dataset: Any = getattr(getattr(loop, 'dataloader', None), 'dataset', None)
    if hasattr(dataset, 'get_data_info'):
        for index in range(len(dataset)):
            yield dataset.get_data_info(index).get('img_path', '')
