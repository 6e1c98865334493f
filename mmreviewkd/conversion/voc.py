"""Pascal VOC's format: an XML file for each image."""

import os.path as osp
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence

from mmengine.utils import scandir

from ..errors import UserInputError, few, near
from .coco import AnnotatedImage
from .images import images_in, size_of
from .supervision import reader_of

_BROKEN = (ElementTree.ParseError, ValueError, AttributeError, LookupError)
"""What a broken file raises; LookupError stands for an unknown encoding."""


def read_voc(
    annotations: str, images: str, classes: Sequence[str], zero_based: bool = False
) -> Iterator[AnnotatedImage]:
    """The images of a folder with the boxes of their XML files.

    Args:
        annotations (str): Folder of the XML files.
        images (str): Folder of the images, which have the same names.
        classes (Sequence[str]): Names of the classes.
        zero_based (bool): Whether the first pixel is 0, as many programs count it,
            and not 1, as the format has it. A box then ends before its last corner.

    Raises:
        UserInputError: A file cannot be read, has no image, or names a class that is
            not among ``classes``; or an image has no file.
    """
    read = reader_of('pascal_voc', 'detections_from_xml_obj')
    found = images_in(images)
    files = {osp.splitext(each)[0] for each in scandir(annotations, '.xml', True)}
    if not files:
        raise UserInputError(f'{annotations} has no .xml files')
    for names, suffix, lacking, folder in (
        (files - set(found), '.xml', 'image', images),
        (set(found) - files, '', '.xml file', annotations),
    ):
        if names:
            raise UserInputError(
                f'{few([f"{each}{suffix}" for each in sorted(names)])}: there is no '
                f'{lacking} of that name in {folder}; add it, or remove the file'
            )
    for stem in sorted(files):
        source = osp.join(annotations, f'{stem}.xml')
        size = size_of(osp.join(images, found[stem]))
        try:
            root = ElementTree.parse(source).getroot()
            if root.tag != 'annotation':
                raise ValueError(f'its first tag is {root.tag}, not annotation')
            boxes, known = read(root, list(classes), size)
            # the tag may be missing or empty
            difficult = [
                bool(int(each.findtext('difficult', '').strip() or 0))
                for each in root.findall('object')
            ]
        except _BROKEN as error:
            raise UserInputError(f'{source} is no VOC file: {error}') from None
        if len(known) > len(classes):
            new = known[len(classes)]
            raise UserInputError(
                f'{source}: class "{new}" is none of --classes {" ".join(classes)}'
                + near(new, classes)
            )
        corners = boxes.xyxy.astype(float)
        if zero_based:
            corners[:, :2] += 1
        yield AnnotatedImage(
            found[stem], size, source, corners, boxes.class_id, difficult
        )
