"""Downloads a file over HTTP; an attempt continues where the last one stopped.

The received bytes are in ``PATH.part`` beside the file. ``PATH.part.validator``
keeps the server's identifier of the file, so that the rest of another file is never
appended.
"""

import logging
import os
import os.path as osp
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException, HTTPMessage, InvalidURL
from typing import Any, Optional
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from mmengine.logging import print_log
from tqdm import tqdm

from ..errors import UserInputError

TIMEOUT = 30.0
"""Seconds without data after which an attempt is aborted."""
WAITS = (1, 3, 10)
"""Seconds to wait before each further attempt."""
BY_HAND = 'or download the file by hand and give its path'
"""End of each message about a download: advice that always helps."""
_CHUNK = 1 << 16


def receive(url: str, path: str) -> None:
    """Download a file to ``PATH.part``.

    Args:
        url (str): URL of the file.
        path (str): Path of the complete file; its folder exists.

    Raises:
        UserInputError: The server or the connection fails, and so do all further
            attempts.
        OSError: The file cannot be written.
    """
    for attempt, wait in enumerate((*WAITS, None), 1):
        try:
            return _receive_rest(url, path)
        except _Failure as error:
            failure = error
        if failure.code == 416 and osp.exists(f'{path}.part'):
            discard_part(path)  # the part is longer than the file is now
        elif failure.is_final:
            break
        if wait is None:
            break
        print_log(
            f'{url}: {failure}; attempt {attempt + 1} of {len(WAITS) + 1} in {wait} s',
            'current',
            logging.WARNING,
        )
        time.sleep(wait)
    kept = (
        ' (what has come is kept, and another run goes on from there)'
        if _received(path)
        else ''
    )
    raise UserInputError(
        f'checkpoint {url} cannot be downloaded: {failure}{kept}. Check the '
        f'address and the connection, {BY_HAND}'
    ) from failure


class _Failure(Exception):
    """A failed attempt; ``code`` is the HTTP status, if the server sent one."""

    def __init__(self, reason: str, code: Optional[int] = None) -> None:
        super().__init__(' '.join(reason.split()))
        self.code = code
        # final are client errors (4xx), except timeout and too many requests
        self.is_final = code is not None and code < 500 and code not in (408, 429)


@contextmanager
def _failures() -> Iterator[None]:
    """Turn errors of the network into _Failure, unlike errors of the disk."""
    try:
        yield
    except HTTPError as error:
        error.close()
        raise _Failure(f'HTTP {error.code} {error.reason}', error.code) from error
    except (InvalidURL, ValueError) as error:
        raise _Failure(str(error), 400) from error
    except (HTTPException, OSError) as error:
        reason: Any = getattr(error, 'reason', error)
        if isinstance(reason, socket.timeout):
            reason = f'no answer within {TIMEOUT:g} s'
        elif isinstance(reason, socket.gaierror):
            reason = f'unknown host ({reason.strerror})'
        elif getattr(reason, 'strerror', None):
            reason = reason.strerror
        raise _Failure(str(reason) or type(reason).__name__) from error


def _receive_rest(url: str, path: str) -> None:
    """Request the bytes that are not in the part yet, once."""
    part = f'{path}.part'
    request = Request(url, headers={'User-Agent': 'mmreviewkd'})
    size = _received(path)
    if size:
        with open(f'{part}.validator', encoding='latin-1') as file:
            request.add_header('If-Range', file.read())
        request.add_header('Range', f'bytes={size}-')
    with _failures():
        response = urlopen(request, timeout=TIMEOUT)
    with response:
        if response.status != 206:  # ranges not supported, or the file has changed
            size = 0
            _begin_part(path, response.headers)
        elif not response.headers.get('Content-Range', '').startswith(f'bytes {size}-'):
            raise _Failure('the server sent another range than asked', 416)
        total = None if response.length is None else size + response.length
        with (
            open(part, 'ab') as file,
            tqdm(
                desc=osp.basename(path),
                initial=size,
                total=total,
                unit='B',
                unit_scale=True,
                unit_divisor=1024,
                disable=None,
            ) as bar,
        ):  # disable=None shows the bar only on a terminal
            while True:
                with _failures():
                    chunk = response.read(_CHUNK)
                if not chunk:
                    break
                file.write(chunk)
                size += len(chunk)
                bar.update(len(chunk))
    if total is not None and size < total:
        raise _Failure(f'the connection ended after {size} of {total} bytes')


def _received(path: str) -> int:
    """Number of bytes of an earlier download that can be continued, or 0."""
    part = f'{path}.part'
    if osp.isfile(part) and osp.isfile(f'{part}.validator'):
        return osp.getsize(part)
    return 0


def _begin_part(path: str, headers: HTTPMessage) -> None:
    """Empty the part, and save the server's identifier of the file."""
    discard_part(path)
    open(f'{path}.part', 'wb').close()
    validator = headers.get('ETag')
    if validator is None or validator.startswith('W/'):  # weak, so not for ranges
        validator = headers.get('Last-Modified')
    if validator:
        with open(f'{path}.part.validator', 'w', encoding='latin-1') as file:
            file.write(validator)


def discard_part(path: str) -> None:
    """Remove the part of a file, if there is one."""
    for name in (f'{path}.part.validator', f'{path}.part'):
        with suppress(FileNotFoundError):
            os.remove(name)
