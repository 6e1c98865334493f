"""Compares the categories of an annotation file with a config's classes, by name.

mmdet numbers the labels by the file: label 2 is the third of the file's categories
that are among the classes. So a name that the file lacks shifts all labels after
it, and another order swaps names.
"""

import logging
from collections import Counter
from collections.abc import Sequence

from mmengine.logging import print_log
from pycocotools.coco import COCO

from ..errors import UserInputError, few, near


def check_categories(ann_file: str, coco: COCO, classes: Sequence[str]) -> None:
    """Check that mmdet will give the same labels as the config's order of classes.

    Args:
        ann_file (str): Annotation file, for messages.
        coco (COCO): Content of the file.
        classes (Sequence[str]): Class names of the config.

    Raises:
        UserInputError: The file has no categories, lacks one of the classes,
            or has them in another order.
    """
    try:
        names = [category['name'] for category in coco.dataset['categories']]
    except (KeyError, TypeError):
        raise UserInputError(
            f'annotation file {ann_file} has no "categories" with names; COCO '
            'format needs a list of dict(id=..., name=...)'
        ) from None
    if isinstance(classes, str):
        raise UserInputError(
            f'metainfo.classes is the text {classes!r}, not '
            f'a tuple; write classes=({classes!r}, )'
        )
    found = [name for name in names if name in classes]
    if not found:
        raise UserInputError(
            f'{ann_file} has none of the classes ({few(classes)}); its '
            f'categories are ({few(names)}). Set metainfo=dict(classes=...) '
            'of the dataset to the names of those to learn'
        )
    missing = [name for name in classes if name not in names]
    if missing:
        free = [str(name) for name in names if name not in classes]
        hint = near(missing[0], free) or f'; it has {few(names)}'
        raise UserInputError(
            f'{ann_file} has no category {few(missing)}{hint}. mmdet would '
            'leave its boxes out and number the classes behind it wrongly: '
            'write metainfo.classes as the file does'
        )
    for holder, listed in ((ann_file, found), ('metainfo.classes', classes)):
        twice = [n for n, count in Counter(listed).items() if count > 1]
        if twice:
            raise UserInputError(
                f'{holder} has {few(twice)} more than once; a class is one '
                'category, with one name and one id'
            )
    for label, (name, expected) in enumerate(zip(found, classes)):
        if name != expected:
            raise UserInputError(
                f'{ann_file} has the classes in another order: by its '
                f'categories label {label} is {name}, by metainfo.classes '
                f'{expected}. mmdet goes by the file, so that names would be '
                f'swapped; write classes={tuple(found)}'
            )


def warn_of_boxes_left_out(ann_file: str, coco: COCO, classes: Sequence[str]) -> None:
    """Log a warning about boxes in a file that belong to none of the classes.

    Args:
        ann_file (str): Annotation file, for messages.
        coco (COCO): Content of the file.
        classes (Sequence[str]): Class names of the config.
    """
    names = {
        category['id']: category['name'] for category in coco.dataset['categories']
    }
    boxes = {
        str(names.get(number, f'id {number}')): len(images)
        for number, images in coco.cat_img_map.items()
        if names.get(number) not in classes and images
    }
    if boxes:
        print_log(
            f'{ann_file}: {sum(boxes.values())} boxes of categories that are '
            f'not in metainfo.classes are left out: {few(list(boxes))}',
            'current',
            logging.WARNING,
        )
