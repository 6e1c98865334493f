"""COCO's format, out of boxes that another format has given."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..errors import UserInputError, few

_ROUNDING = 0.02
"""How far a box may reach beyond the image, as a share of the image's side: labels are
written with few digits. It is cut at the border."""


class AnnotatedImage(NamedTuple):
    """An image with the boxes of its annotation file.

    Args:
        file_name (str): Path of the image in its split's folder.
        size (tuple[int, int]): Width and height in pixels, as the image is shown.
        source (str): The annotation file; for messages.
        boxes (np.ndarray): (boxes, 4) as x1, y1, x2, y2 in pixels.
        labels (Sequence[int]): Indices of the boxes' classes.
        difficult (Sequence[bool]): Whether each box is ignored in training and
            evaluation. By default none is.
    """

    file_name: str
    size: tuple[int, int]
    source: str
    boxes: np.ndarray
    labels: Sequence[int]
    difficult: Sequence[bool] = ()


def to_coco(
    images: Iterable[AnnotatedImage], classes: Sequence[str], skip_invalid: bool = False
) -> tuple[dict[str, Any], list[str]]:
    """The content of an annotation file in COCO's format.

    Args:
        images (Iterable[AnnotatedImage]): What it is made of.
        classes (Sequence[str]): Names of the classes, in the order of the labels.
        skip_invalid (bool): Whether boxes that cannot be learned are left out.

    Returns:
        tuple[dict, list[str]]: The content, and what was left out.

    Raises:
        UserInputError: Two classes have one name; or a box has no area or reaches
            beyond its image. All such boxes are counted, and the first few are named.
    """
    twice = [name for name, count in Counter(classes).items() if count > 1]
    if twice:
        raise UserInputError(f'two classes have the name {few(twice)}; rename one')
    coco: dict[str, Any] = dict(
        images=[],
        annotations=[],
        categories=[dict(id=i, name=name) for i, name in enumerate(classes, 1)],
    )
    invalid: list[str] = []
    for image_id, image in enumerate(images):
        width, height = image.size
        coco['images'].append(
            dict(id=image_id, file_name=image.file_name, width=width, height=height)
        )
        limits = np.array([width, height] * 2)
        difficult = image.difficult or [False] * len(image.boxes)
        boxes = zip(image.boxes, image.labels, difficult)
        for number, (box, label, ignored) in enumerate(boxes, 1):
            x1, y1, x2, y2 = (float(side) for side in np.clip(box, 0, limits))
            beyond = np.abs(box - np.clip(box, 0, limits)) > _ROUNDING * limits
            if beyond.any() or x2 <= x1 or y2 <= y1:
                what = 'reaches beyond the image' if beyond.any() else 'has no area'
                invalid.append(f'{image.source}: box {number} {what}')
                continue
            coco['annotations'].append(
                dict(
                    id=len(coco['annotations']) + 1,
                    image_id=image_id,
                    category_id=int(label) + 1,
                    bbox=[x1, y1, x2 - x1, y2 - y1],
                    area=(x2 - x1) * (y2 - y1),
                    # mmdet and COCO's metric ignore such a box
                    iscrowd=int(ignored),
                )
            )
    if invalid and not skip_invalid:
        raise UserInputError(
            f'{few(invalid, limit=5)}. Correct them, or leave them out with '
            '--skip-invalid'
        )
    return coco, invalid
