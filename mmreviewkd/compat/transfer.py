"""Receive a file over HTTP; an attempt goes on from where the last one broke off.

What has come is beside the file's place, ``PATH.part``; ``PATH.part.validator``
keeps by what the server knows that file, so that the rest of another is never put
behind it.
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
"""Seconds without a byte after which an attempt is given up."""
WAITS = (1, 3, 10)
"""Seconds to wait before each further attempt."""
BY_HAND = 'or download the file by hand and give its path'
"""The end of each message about a download: what helps in any case."""
_CHUNK = 1 << 16


def receive(url: str, path: str) -> None:
    """Receive a file as ``PATH.part``.

    Args:
        url (str): The address.
        path (str): The place that the file is for; its folder exists.

    Raises:
        UserInputError: The server or the connection fails, also after the last
            of the further attempts.
        OSError: The file cannot be written.
    """
    for attempt, wait in enumerate((*WAITS, None), 1):
        try:
            return _receive_rest(url, path)
        except _Failure as error:
            failure = error
        if failure.code == 416 and osp.exists(f'{path}.part'):
            discard_part(path)  # longer than the file is by now
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
    """An attempt that failed; ``code`` is HTTP's, if the server gave one."""

    def __init__(self, reason: str, code: Optional[int] = None) -> None:
        super().__init__(' '.join(reason.split()))
        self.code = code
        # of the client's errors, those that time may mend are not
        self.is_final = code is not None and code < 500 and code not in (408, 429)


@contextmanager
def _failures() -> Iterator[None]:
    """Tell errors of the network from those of the disk."""
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
    """Make one request, for what is not in the part yet."""
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
        if response.status != 206:  # no ranges, or the file has changed
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
        ):  # None: unless stderr is a terminal
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
    """Bytes of a download begun earlier that can go on, or 0."""
    part = f'{path}.part'
    if osp.isfile(part) and osp.isfile(f'{part}.validator'):
        return osp.getsize(part)
    return 0


def _begin_part(path: str, headers: HTTPMessage) -> None:
    """Empty the part, and note by what the server will know the file."""
    discard_part(path)
    open(f'{path}.part', 'wb').close()
    validator = headers.get('ETag')
    if validator is None or validator.startswith('W/'):  # weak: not for ranges
        validator = headers.get('Last-Modified')
    if validator:
        with open(f'{path}.part.validator', 'w', encoding='latin-1') as file:
            file.write(validator)


def discard_part(path: str) -> None:
    """Remove what has come of a file, if anything has."""
    for name in (f'{path}.part.validator', f'{path}.part'):
        with suppress(FileNotFoundError):
            os.remove(name)
