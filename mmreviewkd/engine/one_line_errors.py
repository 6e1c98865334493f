"""Reports errors in the user's input in one line."""

import errno
import logging
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Optional

import torch
from mmengine.logging import MMLogger

from ..errors import UserInputError, in_one_line
from .loggers import logger_error
from .registry_errors import registry_error

INTERRUPTED = 130
"""The exit code that shells report for a program ended by Ctrl-C."""


@contextmanager
def one_line_errors(debug: bool = False) -> Iterator[None]:
    """End the program with one line if an error comes from its input or the machine.

    The traceback goes to the file of the run's logger, if there is one.

    Args:
        debug (bool): Whether to print the traceback as well.
    """
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        line = _one_line(error)
        if line is None:
            raise
        text = _traceback(error)
        _log(text)
        if debug:
            print(text, file=sys.stderr)
        if _interruption(error):
            print(line, file=sys.stderr)
            sys.exit(INTERRUPTED)
        sys.exit(f'error: {line}')


@contextmanager
def resumable() -> Iterator[None]:
    """If a training is interrupted, print how to resume it."""
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        if not _interruption(error):
            raise
        raise KeyboardInterrupt(
            'the same command with --resume goes on from the last checkpoint'
        ) from error


def _one_line(error: BaseException) -> Optional[str]:
    """Return the line for the user, or None if the program itself is at fault."""
    interruption = _interruption(error)
    if interruption:
        return '; '.join(['interrupted', *interruption.args])
    message = str(error)
    if isinstance(error, (UserInputError, FloatingPointError)):
        return in_one_line(error)
    if isinstance(error, OSError):
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
        if full and str(error.filename).endswith('.pth'):
            return f'{message}; whatever checkpoint is there is whole'
        named = error.errno and error.filename  # then the message names the file
        if full or named or isinstance(error, PermissionError):
            return message
    # how gloo and NCCL report that another process has ended
    if isinstance(error, RuntimeError) and re.search(
        'closed by peer|reset by peer|remote process exit', message
    ):
        return (
            'another process of this run has ended, and this one cannot '
            "go on without it; the other's own last line says why"
        )
    # how torch reports that a worker has ended
    gone = re.search(
        r'DataLoader worker \(pid(\(s\))? [\d, ]+\) '
        r'(is killed by signal: (Killed|Bus error)|exited unexpectedly)',
        message,
    )
    if gone:
        return (
            f'{gone.group()}: the machine has probably run out of '
            'memory, or its /dev/shm is too small. Fewer workers or '
            'smaller batches need less: --cfg-options '
            'train_dataloader.num_workers=... '
            'train_dataloader.batch_size=...'
        )
    if isinstance(error, torch.cuda.OutOfMemoryError):
        what = '. '.join(message.split('. ')[:2])
        return (
            f'{what}. Smaller batches (--cfg-options '
            'train_dataloader.batch_size=...), --amp or fewer levels '
            '(model.strides=...) need less'
        )
    return registry_error(error) or logger_error(error)


def _causes(error: Optional[BaseException]) -> Iterator[BaseException]:
    """Yield the error, its cause and so on, even if it was raised ``from None``."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _interruption(error: BaseException) -> Optional[KeyboardInterrupt]:
    # mmengine turns every exception while it prints a config into a SyntaxError
    return next((e for e in _causes(error) if isinstance(e, KeyboardInterrupt)), None)


def _traceback(error: BaseException) -> str:
    """Format the traceback, down to the first cause."""
    parts = [
        ''.join(traceback.format_exception(type(e), e, e.__traceback__, chain=False))
        for e in _causes(error)
    ]
    return '\n'.join(reversed(parts))


def _log(text: str) -> None:
    logger = MMLogger.get_current_instance()
    record = logger.makeRecord(logger.name, logging.ERROR, __file__, 0, text, (), None)
    for handler in logger.handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handle(record)
