"""Images that cannot be read are named, wherever they are read."""

from mmreviewkd.compat.images import name_unreadable_images
from mmreviewkd.errors import UnreadableImageError, in_one_line
from tests.support.images import png

import cv2
import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from torch.utils.data import DataLoader


class Images:
    def __init__(self, path, **options):
        name_unreadable_images()
        name_unreadable_images()
        self.path, self.load = str(path), LoadImageFromFile(**options)

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return self.load(dict(img_path=self.path))['img']


@pytest.mark.parametrize(
    'content, backend, reason',
    [
        (png(60000, 60000), 'cv2', 'error: pixels <= CV_IO_MAX_IMAGE_PIXELS'),
        (
            b'<html>404</html>',
            'cv2',
            'AssertionError: its content is no image, or is cut short',
        ),
        (b'', 'cv2', 'error: !buf.empty()'),
        (b'<html>404</html>', 'pillow', 'UnidentifiedImageError: cannot identify'),
        (png(60000, 60000), 'pillow', 'DecompressionBombError: Image size'),
        (None, 'cv2', 'FileNotFoundError: [Errno 2] No such file'),
    ],
)
def test_unreadable(content, backend, reason, tmp_path):
    path = tmp_path / 'bad.png'
    if content is not None:
        path.write_bytes(content)
    images = Images(path, imdecode_backend=backend)
    with pytest.raises(UnreadableImageError) as error:
        images[0]
    assert str(error.value).startswith(f'image {path} cannot be read: {reason}')
    assert '\n' not in str(error.value)


def test_unreadable_to_a_worker(tmp_path):
    (tmp_path / 'bad.png').write_bytes(b'<html>404</html>')
    batches = iter(DataLoader(Images(tmp_path / 'bad.png'), num_workers=1))
    with pytest.raises(UnreadableImageError, match='Traceback') as error:
        next(batches)
    assert in_one_line(error.value) == (
        f'image {tmp_path}/bad.png cannot be read: AssertionError: its '
        'content is no image, or is cut short'
    )


def test_others_are_read_as_before(tmp_path):
    path = tmp_path / 'good.png'
    pixels = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    cv2.imwrite(str(path), pixels)
    assert np.array_equal(Images(path)[0], pixels)
    # mmcv's own way of skipping an image
    missing = dict(img_path=str(tmp_path / 'none.png'))
    assert LoadImageFromFile(ignore_empty=True)(missing) is None
