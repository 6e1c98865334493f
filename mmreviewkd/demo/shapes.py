"""A drawn detection dataset in COCO format: shapes in clutter.

The outline defines the class. The usual colour of the class is an unreliable hint;
pattern, size and proportions vary freely. Shapes occlude each other, and lines,
blots, blur and noise are added.
"""

import json
import os
import os.path as osp
import shutil

import cv2
import numpy as np
from pycocotools import mask as coco_mask

CLASSES = ('circle', 'square', 'triangle', 'star', 'cross')
SIZE = 128  # height and width of an image in pixels


def make_dataset(root: str, num_train: int, num_val: int, seed: int) -> None:
    """Draw ``train`` and ``val``; existing contents of ``root`` are replaced.

    The same arguments draw the same pixels. An image depends only on the seed, its
    split and its number, so a smaller dataset is the beginning of a larger one.

    Args:
        root (str): Folder to write: ``train/``, ``val/`` and ``annotations/``.
            It appears when all of it is complete.
        num_train (int): Number of training images.
        num_val (int): Number of validation images.
        seed (int): Random seed; each draws other images.
    """
    unfinished = root.rstrip('/') + '.part'
    shutil.rmtree(unfinished, ignore_errors=True)
    os.makedirs(osp.join(unfinished, 'annotations'))
    for number, (split, size) in enumerate((('train', num_train), ('val', num_val))):
        os.makedirs(osp.join(unfinished, split))
        images: list[dict] = []
        annotations: list[dict] = []
        for index in range(size):
            pixels, shapes = draw_image(np.random.default_rng([seed, number, index]))
            name = f'{index:04}.png'
            cv2.imwrite(osp.join(unfinished, split, name), pixels)
            images.append(dict(id=index, file_name=name, height=SIZE, width=SIZE))
            for label, mask in shapes:
                annotations.append(
                    _annotation(len(annotations) + 1, index, label, mask)
                )
        content = dict(
            images=images,
            annotations=annotations,
            categories=[
                dict(id=label, name=name) for label, name in enumerate(CLASSES)
            ],
        )
        path = osp.join(unfinished, 'annotations', f'{split}.json')
        with open(path, 'w', encoding='utf-8') as file:
            json.dump(content, file)
    shutil.rmtree(root, ignore_errors=True)
    os.replace(unfinished, root)


def draw_image(
    rng: np.random.Generator,
) -> tuple[np.ndarray, list[tuple[int, np.ndarray]]]:
    """Draw one image and its shapes.

    Returns:
        tuple[ndarray, list[tuple[int, ndarray]]]: Pixels, (SIZE, SIZE, 3) of
        uint8; label and mask, (SIZE, SIZE) of uint8, of each shape. A mask
        covers only the visible part.
    """
    image = background(rng)
    for _ in range(rng.integers(4, 12)):
        draw_clutter(image, rng)
    shapes: list[tuple[int, np.ndarray]] = []
    for _ in range(rng.integers(2, 7)):
        label = int(rng.integers(len(CLASSES)))
        mask = np.zeros((SIZE, SIZE), np.uint8)
        cv2.fillPoly(mask, [outline(label, rng)], 1)
        # not even a person could recognise a shape that is mostly hidden
        if all(
            (mask & other).sum() < 0.3 * min(mask.sum(), other.sum())
            for _, other in shapes
        ):
            image[mask > 0] = texture(label, rng)[mask > 0]
            shapes = [(other_label, other & ~mask) for other_label, other in shapes] + [
                (label, mask)
            ]
    for _ in range(rng.integers(2)):
        draw_clutter(image, rng)
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.1))
    image = image + rng.normal(0, rng.uniform(2, 14), image.shape)
    return image.clip(0, 255).astype(np.uint8), shapes


def outline(label: int, rng: np.random.Generator) -> np.ndarray:
    """Corners, (N, 2) of int32, of a shape at a random place in the image."""
    name = CLASSES[label]
    corners = dict(circle=48, square=4, triangle=3, star=10)
    if name == 'cross':
        arm = rng.uniform(0.25, 0.4)
        points = np.array([(1, arm), (arm, arm), (arm, 1)])
        points = np.concatenate(
            [_rotate(points, turn * np.pi / 2) for turn in range(4)]
        )
    else:
        angles = np.arange(corners[name]) * 2 * np.pi / corners[name]
        angles += np.pi / (4 if name == 'square' else -2)
        points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        if name == 'star':
            points[1::2] *= rng.uniform(0.4, 0.55)
    radius = SIZE * np.exp(rng.uniform(np.log(0.08), np.log(0.25)))
    points = points * (1, rng.uniform(0.75, 1))
    points = _rotate(points, rng.uniform(-0.4, 0.4)) * radius
    low, high = -points.min(axis=0), SIZE - 1 - points.max(axis=0)
    return (points + rng.uniform(low, high)).round().astype(np.int32)


def _rotate(points: np.ndarray, angle: float) -> np.ndarray:
    cos, sin = np.cos(angle), np.sin(angle)
    return points @ np.array([(cos, sin), (-sin, cos)])


def texture(label: int, rng: np.random.Generator) -> np.ndarray:
    """Plain, striped or chequered pattern for a whole image, (SIZE, SIZE, 3)."""
    # the hue is a hint, since learning the outlines alone takes longer training
    hue = 180 * label / len(CLASSES) + rng.normal(0, 18)
    hsv = np.uint8([[(hue % 180, *rng.uniform(100, 255, 2))]])
    first = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0, 0]
    second = first + rng.uniform(-90, 90, 3)
    grid = np.stack(np.meshgrid(*[np.arange(SIZE)] * 2), axis=-1)
    waves = np.sin(
        _rotate(grid, rng.uniform(0, np.pi)) * 2 * np.pi / rng.uniform(5, 14)
    )
    waves = (np.ones(waves.shape[:2]), waves[..., 0], waves.prod(axis=-1))[
        rng.integers(3)
    ]
    return np.where(waves[..., None] > 0, first, second)


def background(rng: np.random.Generator) -> np.ndarray:
    """Smooth noise around a random grey, (SIZE, SIZE, 3) of float."""
    cells = int(rng.integers(2, 9))
    coarse = rng.uniform(70, 190) + rng.normal(0, 14, (cells, cells, 3))
    return cv2.resize(coarse, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)


def draw_clutter(image: np.ndarray, rng: np.random.Generator) -> None:
    """Draw a line, a blot or an arc of any colour onto ``image``."""
    colour = rng.uniform(0, 255, 3).tolist()
    start, end = rng.integers(0, SIZE, (2, 2)).tolist()
    if rng.random() < 0.5:
        cv2.line(image, start, end, colour, int(rng.integers(1, 4)))
    else:
        axes = [int(rng.integers(8, 40)), int(rng.integers(2, 7))]
        cv2.ellipse(
            image,
            start,
            axes,
            float(rng.uniform(0, 360)),
            0,
            float(rng.uniform(90, 360)),
            colour,
            int(rng.choice([-1, 1, 2])),
        )


def _annotation(number: int, image: int, label: int, mask: np.ndarray) -> dict:
    run_lengths = coco_mask.encode(np.asfortranarray(mask))
    return dict(
        id=number,
        image_id=image,
        category_id=label,
        bbox=coco_mask.toBbox(run_lengths).tolist(),
        area=int(mask.sum()),
        segmentation=dict(
            size=run_lengths['size'], counts=run_lengths['counts'].decode('ascii')
        ),
        iscrowd=0,
    )
