"""An image that cannot be read is named.

mmcv (2.0 to 2.2) hands on what OpenCV raises, which does not know the file.
"""

import functools
from typing import Optional

from mmcv.transforms import LoadImageFromFile

from ..errors import UnreadableImageError


def name_unreadable_images() -> None:
    """Replace how mmcv loads an image in a pipeline, once."""
    transform = LoadImageFromFile.transform
    if hasattr(transform, '__wrapped__'):
        return

    @functools.wraps(transform)
    def named(self: LoadImageFromFile, results: dict) -> Optional[dict]:
        try:
            return transform(self, results)
        except Exception as error:  # each way of decoding has its own
            # OpenCV's whole message tells where in its sources it is
            reason = ' '.join(str(getattr(error, 'err', error)).split())
            if isinstance(error, AssertionError):
                reason = 'its content is no image, or is cut short'
            raise UnreadableImageError(
                f'image {results["img_path"]} cannot be read: '
                f'{type(error).__name__}: {reason}'
            ) from error

    LoadImageFromFile.transform = named
