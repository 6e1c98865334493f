"""Image files: names without suffix, and sizes as OpenCV sees them."""

from mmreviewkd.conversion.images import images_in, size_of
from mmreviewkd.errors import UserInputError
from tests.support.images import png

import cv2
import numpy as np
import pytest
from PIL import Image


def draw(path, size=(30, 20), **settings):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', size).save(path, **settings)
    return path


def test_images_of_all_depths(tmp_path):
    for name in ('a.jpg', 'b.PNG', 'deep/a.jpeg'):
        draw(tmp_path / name)
    (tmp_path / 'notes.txt').write_text('no image')
    assert images_in(str(tmp_path)) == {
        'a': 'a.jpg',
        'b': 'b.PNG',
        'deep/a': 'deep/a.jpeg',
    }


def test_folders_without_images(tmp_path):
    with pytest.raises(UserInputError, match='no such folder of images: .*none'):
        images_in(str(tmp_path / 'none'))
    with pytest.raises(UserInputError, match='has no images'):
        images_in(str(tmp_path))
    draw(tmp_path / 'a.jpg')
    draw(tmp_path / 'a.png')
    with pytest.raises(UserInputError, match='a.jpg and a.png share one annotation'):
        images_in(str(tmp_path))


@pytest.mark.parametrize('suffix', ['jpg', 'png', 'webp', 'tif'])
@pytest.mark.parametrize('orientation', range(1, 9))
def test_a_photo_that_lies_on_its_side(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = draw(tmp_path / f'a.{suffix}', exif=exif)
    # as mmdet reads images
    content = np.fromfile(path, np.uint8)
    height, width = cv2.imdecode(content, cv2.IMREAD_COLOR).shape[:2]
    assert size_of(str(path)) == (width, height)
    if suffix != 'webp':  # OpenCV 4 does not turn it
        assert (width, height) == ((30, 20) if orientation < 5 else (20, 30))


@pytest.mark.parametrize('suffix', ['jpg', 'png', 'webp'])
@pytest.mark.parametrize('exif', [b'no EXIF', b'II*\x00\x08'])
def test_broken_exif_counts_as_upright(tmp_path, suffix, exif):
    path = draw(tmp_path / f'a.{suffix}', exif=b'Exif\x00\x00' + exif)
    height, width = cv2.imread(str(path)).shape[:2]
    assert size_of(str(path)) == (width, height) == (30, 20)


def test_a_huge_image(tmp_path):
    (tmp_path / 'a.png').write_bytes(png(20_000, 15_000))
    limit = Image.MAX_IMAGE_PIXELS
    assert size_of(str(tmp_path / 'a.png')) == (20_000, 15_000)
    assert limit == Image.MAX_IMAGE_PIXELS is not None


@pytest.mark.parametrize(
    'content', [b'', b'no image', b'\xff\xd8\xff', b'\x89PNG\r\n\x1a\n' + bytes(30)]
)
def test_what_is_no_image(tmp_path, content):
    (tmp_path / 'a.jpg').write_bytes(content)
    with pytest.raises(UserInputError, match='a.jpg cannot be read as an image'):
        size_of(str(tmp_path / 'a.jpg'))
