"""Image files of a data set: which there are, and how large they are."""

import os.path as osp

import cv2
from mmengine.utils import scandir
from PIL import Image
from PIL.TiffImagePlugin import IMAGELENGTH, IMAGEWIDTH, TiffImageFile

from ..errors import UserInputError

SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')
_ORIENTATION = 0x0112
"""The tag of EXIF that says how a camera was held."""


def images_in(folder: str) -> dict[str, str]:
    """Paths of a folder's images, relative to it, by their path without suffix.

    Raises:
        UserInputError: There is no such folder, it has no images, or two have one name.
    """
    if not osp.isdir(folder):
        raise UserInputError(f'no such folder of images: {folder}')
    found: dict[str, str] = {}
    for path in sorted(scandir(folder, SUFFIXES, recursive=True, case_sensitive=False)):
        stem = osp.splitext(path)[0]
        if stem in found:
            raise UserInputError(
                f'{folder}: {found[stem]} and {path} share one annotation file; '
                'rename one of them'
            )
        found[stem] = path
    if not found:
        raise UserInputError(f'{folder} has no images ({" ".join(SUFFIXES)})')
    return found


def size_of(path: str) -> tuple[int, int]:
    """Width and height of an image in pixels, as it is shown.

    A camera may have written it lying on its side, which OpenCV turns upright.

    Raises:
        UserInputError: The file cannot be read as an image.
    """
    # Pillow's limit is for the pixels, of which none is read here
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        with Image.open(path) as image:
            width, height = image.size
            if isinstance(image, TiffImageFile):  # newer Pillows turn its size
                width, height = image.tag_v2[IMAGEWIDTH], image.tag_v2[IMAGELENGTH]
            lies_on_its_side = _lies_on_its_side(image)
            if lies_on_its_side and image.format == 'WEBP':
                # OpenCV 5 turns it, 4 does not
                height, width = cv2.imread(path).shape[:2]
                lies_on_its_side = False
    except Exception as error:  # each of Pillow's formats raises other types
        raise UserInputError(f'{path} cannot be read as an image: {error}') from None
    finally:
        Image.MAX_IMAGE_PIXELS = limit
    return (height, width) if lies_on_its_side else (width, height)


def _lies_on_its_side(image: Image.Image) -> bool:
    try:
        return image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
    except Exception:  # broken EXIF, which OpenCV ignores
        return False
