"""Turn annotations in YOLO's or Pascal VOC's format into COCO's, which mmdet reads.

  mmreviewkd convert photos/data.yaml photos/annotations
  mmreviewkd convert photos/train_xml photos/annotations/train.json \\
      --images photos/train --classes crab fish starfish

A data.yaml of YOLO's names the splits and classes: each split becomes OUT/SPLIT.json. A
folder of VOC's XML files becomes the file OUT; boxes that are difficult are ignored
(iscrowd=1), as by mmdet's own reader of VOC. Images stay where they are. What to write
into a config is printed in the end.
"""

import argparse
import collections
import json
import os.path as osp
from collections.abc import Iterable, Sequence

from tqdm import tqdm

from ..compat.saving import check_target, write_whole
from ..conversion import AnnotatedImage, read_voc, read_yaml, read_yolo, to_coco
from ..errors import UserInputError, few
from .arguments import add_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_path(parser, 'source', help="YOLO's data.yaml, or a folder of VOC's XML files")
    add_path(parser, 'out', help="folder of YOLO's splits, or VOC's JSON file")
    add_path(parser, '--images', help="folder of VOC's images")
    parser.add_argument(
        '--classes', nargs='+', help="VOC's classes, in the order of their labels"
    )
    parser.add_argument(
        '--zero-based',
        action='store_true',
        help="VOC's pixels are counted from 0, as many programs write them, not from 1",
    )
    parser.add_argument(
        '--skip-invalid',
        action='store_true',
        help='leave out boxes that have no area or reach beyond the image',
    )


def run(args: argparse.Namespace) -> None:
    if osp.isdir(args.source):
        _convert_voc(args)
    elif args.source.endswith(('.yaml', '.yml')):
        _convert_yolo(args)
    else:
        raise UserInputError(
            f"{args.source} must be YOLO's data.yaml, or a folder of VOC's XML files"
        )


def _convert_yolo(args: argparse.Namespace) -> None:
    for flag in ('images', 'classes', 'zero_based'):
        if getattr(args, flag):
            raise UserInputError(
                f'--{flag.replace("_", "-")} is for a folder of VOC files; '
                f'{args.source} says it itself'
            )
    splits, classes = read_yaml(args.source)
    targets = {name: osp.join(args.out, f'{name}.json') for name in splits}
    for target in targets.values():
        check_target(target)
    whole = {
        name: _coco(read_yolo(split, classes), classes, name, args.skip_invalid)
        for name, split in splits.items()
    }
    # nothing is written before all could be read
    for name, content in whole.items():
        _write(targets[name], content)
    for name, split in splits.items():
        _print_config(name, split.images, targets[name], classes)


def _convert_voc(args: argparse.Namespace) -> None:
    yolo = osp.join(args.source, 'data.yaml')
    if not args.images or not args.classes:
        raise UserInputError(
            'a folder of VOC files needs --images and --classes'
            + (f"; for YOLO's format give {yolo}" if osp.exists(yolo) else '')
        )
    if not args.out.endswith('.json'):
        raise UserInputError(f'{args.out}: must be a file that ends in .json')
    check_target(args.out)
    name = osp.splitext(osp.basename(args.out))[0]
    read = read_voc(args.source, args.images, args.classes, args.zero_based)
    content = _coco(read, args.classes, name, args.skip_invalid)
    _write(args.out, content)
    _print_config(name, args.images, args.out, args.classes)


def _coco(
    images: Iterable[AnnotatedImage],
    classes: Sequence[str],
    split: str,
    skip_invalid: bool,
) -> dict:
    images = tqdm(images, desc=split, unit=' images')
    coco, invalid = to_coco(images, classes, skip_invalid)
    counts = collections.Counter(
        each['category_id'] for each in coco['annotations'] if not each['iscrowd']
    )
    empty = len(coco['images']) - len({a['image_id'] for a in coco['annotations']})
    print(
        f'{split}: {len(coco["images"])} images, of which {empty} have no boxes; '
        f'{sum(counts.values())} boxes: '
        + ', '.join(f'{counts[i]} {name}' for i, name in enumerate(classes, 1))
    )
    ignored = len(coco['annotations']) - sum(counts.values())
    if ignored:
        print(f'difficult boxes beside them, which are ignored: {ignored}')
    if invalid:
        print(f'left out: {few(invalid)}')
    unused = [name for i, name in enumerate(classes, 1) if not counts[i]]
    if unused:
        print(f'no box in {split} is a {", a ".join(unused)}')
    return coco


def _write(target: str, content: dict) -> None:
    if osp.exists(target):
        print(f'the former {target} is replaced')
    write_whole(target, json.dumps(content))


def _print_config(
    split: str, images: str, ann_file: str, classes: Sequence[str]
) -> None:
    names = ', '.join(map(repr, classes))
    print(
        f'\n# {split}, in a config:\n'
        f"dataset=dict(\n    type='CocoDataset',\n"
        f'    metainfo=dict(classes=({names},)),\n'
        f'    ann_file={osp.abspath(ann_file)!r},\n'
        f'    data_prefix=dict(img={osp.abspath(images) + "/"!r}))'
    )
