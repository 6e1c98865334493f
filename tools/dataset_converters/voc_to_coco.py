#!/usr/bin/env python
"""Turn a folder of Pascal VOC XML files into one COCO annotation file."""

import argparse
import json
import os
import os.path as osp
import xml.etree.ElementTree as ElementTree

from mmreviewkd.commands.arguments import add_debug
from mmreviewkd.engine.one_line_errors import one_line_errors
from mmreviewkd.errors import UserInputError

from mmengine.utils import scandir, track_iter_progress


def convert(annotations: str, classes: list) -> dict:
    """Read every XML file of a folder.

    Args:
        annotations (str): Folder of VOC XML files; corners are taken as they
            are.
        classes (list[str]): Class names in the order of their ids.

    Returns:
        dict: In COCO's format. Boxes without area are left out.
    """
    if not osp.isdir(annotations):
        raise UserInputError(f'no such folder: {annotations}')
    names = sorted(scandir(annotations, '.xml'))
    if not names:
        raise UserInputError(f'{annotations} has no .xml files')
    images, boxes, dropped = [], [], 0
    for image_id, name in enumerate(track_iter_progress(names)):
        path = osp.join(annotations, name)
        try:
            root = ElementTree.parse(path).getroot()
            width, height = (
                int(root.find(f'size/{side}').text) for side in ('width', 'height')
            )
        except (ElementTree.ParseError, AttributeError) as error:
            raise UserInputError(f'{path} is no VOC file: {error}') from None
        images.append(
            dict(
                id=image_id,
                file_name=osp.splitext(name)[0] + '.jpg',
                width=width,
                height=height,
            )
        )
        for item in root.iter('object'):
            label = item.find('name').text
            if label not in classes:
                raise UserInputError(
                    f'{path}: class "{label}" is not one of {", ".join(classes)}'
                )
            x1, y1, x2, y2 = (
                float(item.find(f'bndbox/{edge}').text)
                for edge in ('xmin', 'ymin', 'xmax', 'ymax')
            )
            if x2 <= x1 or y2 <= y1:
                dropped += 1
                continue
            boxes.append(
                dict(
                    id=len(boxes) + 1,
                    image_id=image_id,
                    category_id=classes.index(label) + 1,
                    bbox=[x1, y1, x2 - x1, y2 - y1],
                    area=(x2 - x1) * (y2 - y1),
                    iscrowd=0,
                )
            )
    print(
        f'\n{len(images)} images, {len(boxes)} boxes, {dropped} without area left out'
    )
    return dict(
        images=images,
        annotations=boxes,
        categories=[dict(id=i, name=name) for i, name in enumerate(classes, 1)],
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('annotations', help='folder of XML files')
    parser.add_argument('out', help='JSON file to write')
    parser.add_argument('--classes', nargs='+', required=True)
    add_debug(parser)
    args = parser.parse_args()
    with one_line_errors(args.debug):
        coco = convert(args.annotations, args.classes)
        os.makedirs(osp.dirname(osp.abspath(args.out)), exist_ok=True)
        with open(args.out + '.part', 'w') as file:
            json.dump(coco, file)
        os.replace(args.out + '.part', args.out)


if __name__ == '__main__':
    main()
