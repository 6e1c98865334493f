"""Images in folders that Pillow cannot read are named."""

from mmreviewkd.classification import FolderImages
from mmreviewkd.errors import UnreadableImageError, in_one_line
from tests.test_compat.test_images import png

import cv2
import numpy as np
import pytest
from torch.utils.data import DataLoader


@pytest.mark.parametrize(
    'content, reason',
    [
        (b'<html>404</html>', 'UnidentifiedImageError: cannot identify image'),
        (b'', 'UnidentifiedImageError: cannot identify image file'),
        (png(60000, 60000), 'DecompressionBombError: Image size'),
        (
            cv2.imencode(
                '.jpg', np.random.RandomState(0).randint(0, 255, (64, 64, 3), np.uint8)
            )[1].tobytes()[:2000],
            'OSError: image file is truncated',
        ),
    ],
)
def test_unreadable(content, reason, tmp_path):
    path = tmp_path / 'cat' / 'bad.png'
    path.parent.mkdir()
    path.write_bytes(content)
    images = FolderImages(str(tmp_path), 1, train=False)
    with pytest.raises(UnreadableImageError) as error:
        images[0]
    message = str(error.value)
    assert message.startswith(f'image {path} cannot be read: {reason}')
    assert '\n' not in message
    if not content:
        with pytest.raises(UnreadableImageError, match='Traceback') as error:
            next(iter(DataLoader(images, num_workers=1)))
        assert in_one_line(error.value) == message
