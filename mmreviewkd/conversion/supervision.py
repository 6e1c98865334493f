"""The library ``supervision``, which reads one annotation file at a time for us.

It is an extra, ``pip install mmreviewkd[convert]``, and needs Python 3.10.
"""

import importlib
from typing import Any

from ..errors import UserInputError


def reader_of(file_format: str, name: str) -> Any:
    """One of its functions for a format's files.

    Raises:
        UserInputError: The library is not installed, or its version does not have that
            function.
    """
    try:
        module = importlib.import_module(f'supervision.dataset.formats.{file_format}')
        return getattr(module, name)
    except (ImportError, AttributeError) as error:
        raise UserInputError(
            'annotations are read by the library supervision, which needs Python '
            f'3.10: pip install "supervision>=0.31" ({error})'
        ) from None
