"""Errors of the user's input in one line."""
import errno
import sys
from contextlib import contextmanager
from typing import Iterator

from ..errors import UserInputError


@contextmanager
def one_line_errors() -> Iterator[None]:
    """End the program with the message where the cause is its input."""
    try:
        yield
    except (UserInputError, FloatingPointError) as error:
        sys.exit(f'error: {error}')
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise
        sys.exit(f'error: {error}; whatever checkpoint is there is whole')
