"""Makes errors about an unreadable image name it.

mmcv (2.0 to 2.2) passes on OpenCV's error, which does not know the file.
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
        except Exception as error:  # each decoder raises other types
            # OpenCV's whole message also has the place in its source code
            reason = ' '.join(str(getattr(error, 'err', error)).split())
            if isinstance(error, AssertionError):
                reason = 'its content is no image, or is cut short'
            raise UnreadableImageError(
                f'image {results["img_path"]} cannot be read: '
                f'{type(error).__name__}: {reason}'
            ) from error

    LoadImageFromFile.transform = named
