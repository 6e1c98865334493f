"""YOLO's format: a text file for each image, and a data.yaml for the whole."""

import os.path as osp
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import yaml
from mmengine.utils import scandir

from ..errors import UserInputError, few
from .coco import AnnotatedImage
from .images import images_in, size_of
from .supervision import reader_of


class Split(NamedTuple):
    """A part of a data set, such as ``'train'``.

    Args:
        images (str): Folder of its images.
        labels (str): Folder of its text files.
    """

    images: str
    labels: str


def read_yaml(path: str) -> tuple[dict[str, Split], list[str]]:
    """The splits and the classes that a data.yaml names.

    Raises:
        UserInputError: The file cannot be read, or does not name them.
    """
    try:
        with open(path, encoding='utf-8-sig') as file:
            data = yaml.safe_load(file)
    except Exception as error:  # YAML's types raise many others
        raise UserInputError(f'{path}: {" ".join(str(error).split())}') from None
    if not isinstance(data, dict) or not data.get('names'):
        raise UserInputError(f'{path} has no names: the list of the classes')
    names = data['names']
    if not isinstance(names, (list, dict)):
        raise UserInputError(f'{path}: names={names!r} must be a list of the classes')
    if isinstance(names, dict):
        if set(names) != set(range(len(names))):
            raise UserInputError(
                f'{path}: names must be numbered from 0 without a gap, not '
                f'{", ".join(map(str, names))}'
            )
        names = [names[number] for number in range(len(names))]
    # YAML reads yes and no as truth values, and ~ as nothing
    odd = [each for each in names if type(each) not in (str, int)]
    if odd:
        raise UserInputError(
            f'{path}: names has {few(odd)}, where each must be a name; put it in quotes'
        )
    root = osp.join(osp.dirname(osp.abspath(path)), str(data.get('path') or ''))
    splits = {
        name: _split(path, name, root, data[name])
        for name in ('train', 'val', 'test')
        if data.get(name)
    }
    if not splits:
        raise UserInputError(f'{path} names none of train, val and test')
    return splits, [str(name) for name in names]


def _split(path: str, name: str, root: str, folder: Any) -> Split:
    if not isinstance(folder, str) or folder.endswith('.txt'):
        raise UserInputError(
            f'{path}: {name}={folder!r} must be one folder of images; put the images '
            'into one, beside a folder of their labels'
        )
    images = osp.normpath(osp.join(root, folder))
    if not osp.isdir(images):
        # as Roboflow writes it, seen from a folder that is not there
        images = osp.normpath(osp.join(root, folder.removeprefix('../')))
    if not osp.isdir(images):
        raise UserInputError(
            f'{path}: {name}={folder}: no such folder: {images}; remove the line if '
            'there is no such split'
        )
    head, found, tail = f'{images}/'.rpartition('/images/')
    if not found:
        raise UserInputError(
            f'{path}: {name}={folder}: the labels are looked for where "images" in the '
            'path is "labels"; name the folder of the images so'
        )
    labels = osp.normpath(f'{head}/labels/{tail}')
    if not osp.isdir(labels):
        raise UserInputError(f'{path}: {name}: no such folder of labels: {labels}')
    return Split(images, labels)


def read_yolo(split: Split, classes: Sequence[str]) -> Iterator[AnnotatedImage]:
    """The images of a split with their boxes; polygons become the boxes around them.

    An image without a text file, or with an empty one, has no boxes.

    Args:
        split (Split): Where the files are.
        classes (Sequence[str]): Names of the classes.

    Raises:
        UserInputError: A text file has no image, cannot be read, or has a class that
            is not there.
    """
    read = reader_of('yolo', 'yolo_annotations_to_detections')
    images = images_in(split.images)
    texts = {osp.splitext(each)[0] for each in scandir(split.labels, '.txt', True)}
    alone = sorted(texts - set(images) - {'classes'})
    if alone:
        raise UserInputError(
            f'{split.labels}: {few([f"{each}.txt" for each in alone])}: there is no '
            f'image of that name in {split.images}; add it, or remove the file'
        )
    for stem, image in images.items():
        source = osp.join(split.labels, f'{stem}.txt')
        size = size_of(osp.join(split.images, image))
        lines: list[str] = []
        if stem in texts:
            with open(source, encoding='utf-8-sig', errors='replace') as file:
                lines = [line for line in file.read().splitlines() if line.strip()]
        try:
            found = read(lines, size, with_masks=False)
        except (ValueError, OverflowError) as error:
            raise UserInputError(f'{source}: {error}') from None
        for label in found.class_id if lines else ():
            if not 0 <= label < len(classes):
                raise UserInputError(
                    f'{source}: there is no class {label}; data.yaml names '
                    f'{len(classes)}, from 0 to {len(classes) - 1}: {few(classes)}'
                )
        yield AnnotatedImage(image, size, source, found.xyxy, found.class_id)
