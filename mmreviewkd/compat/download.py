"""Download checkpoints once, and keep nothing else.

torch.hub names a cached file after the URL's last part alone, takes whatever a
server answers for the file, waits for ever and begins again from the start.
"""

import hashlib
import logging
import os
import os.path as osp
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException, InvalidURL
from typing import Callable, Optional, TypeVar
from urllib.error import HTTPError
from urllib.parse import urlparse
from urllib.request import Request, urlopen

import torch
from filelock import FileLock, Timeout
from mmengine.dist import broadcast_object_list, get_rank
from mmengine.logging import print_log
from tqdm import tqdm

from ..errors import UserInputError

T = TypeVar('T')

TIMEOUT = 30.0
"""Seconds without a byte after which an attempt is given up."""
WAITS = (1, 3, 10)
"""Seconds to wait before each further attempt."""
_HASH = re.compile(r'-(?=\d*[a-f])([a-f0-9]{8,})\.')
_CHUNK = 1 << 16
_BY_HAND = 'or download the file by hand and give its path'


def download(url: str, read: Callable[[str], T], folder: Optional[str] = None) -> T:
    """Read the file at a URL, which is downloaded once into a cache.

    Where the cached file is refused, it is downloaded anew. A download that
    breaks off goes on from where it was, in this run or the next one. In a
    distributed run every rank must call this function.

    Args:
        url (str): The address. A hash in its file name, as in
            ``r50-0676ba61.pth``, is checked.
        read (Callable): Makes the result from a path. It raises UserInputError
            for a file that is not what it should be.
        folder (str, optional): The cache. The default is torch.hub's.

    Raises:
        UserInputError: The download fails, gives another hash or a file that
            ``read`` refuses, or the cache cannot be written. The message names
            the URL; the refused file is not kept. Every rank raises it.
    """
    folder = osp.expanduser(folder or osp.join(torch.hub.get_dir(), 'checkpoints'))
    path = osp.join(folder, _cached_name(url))
    failure = [None]
    if get_rank() == 0:
        try:
            return _cached(url, read, path)
        except BaseException as error:
            failure = [str(error) or repr(error)]
            raise
        finally:
            broadcast_object_list(failure)
    broadcast_object_list(failure)
    if failure[0]:
        raise UserInputError(failure[0])
    return _cached(url, read, path)  # another machine downloads it, too


def _cached_name(url: str) -> str:
    try:
        name = osp.basename(urlparse(url).path)
        digest = hashlib.sha256(url.encode()).hexdigest()[:12]
    except ValueError as error:
        raise UserInputError(f'checkpoint {url} is no valid URL: {error}') from error
    if _HASH.search(name):
        return name  # as torch.hub and mmengine name it: they may have it
    name = re.sub(r'[^\w.-]', '_', name, flags=re.ASCII)[-100:]
    stem, suffix = osp.splitext(name or 'checkpoint')
    return f'{stem}_{digest}{suffix}'


def _cached(url: str, read: Callable[[str], T], path: str) -> T:
    if osp.isfile(path):  # without the lock: the cache may be read-only
        try:
            return read(path)
        except UserInputError as error:
            print_log(
                f'{error}; it is downloaded anew from {url}', 'current', logging.WARNING
            )
    with _locked(url, path):
        if osp.isfile(path):  # another process has downloaded it meanwhile
            with suppress(UserInputError):
                return read(path)
        _fetch(url, path)
        try:
            return read(path)
        except UserInputError as error:
            os.remove(path)
            raise UserInputError(
                f'{str(error).replace(path, url)}. It was not kept; open the '
                'URL in a browser to see what it gives, a login page for '
                f'example, {_BY_HAND}'
            ) from error


@contextmanager
def _locked(url: str, path: str) -> Iterator[None]:
    """Keep other processes from the same file; say so if it cannot be."""
    try:
        os.makedirs(osp.dirname(path), exist_ok=True)
        # stays where it is: who removes it may take it from who waits for it
        lock = FileLock(f'{path}.lock')
        try:
            lock.acquire(timeout=0)
        except Timeout:
            print_log(f'another process downloads {url}; waiting for it', 'current')
            lock.acquire()
        try:
            yield
        finally:
            lock.release()
    except UserInputError:
        raise
    except (OSError, NotImplementedError) as error:  # the latter: no flock
        reason = getattr(error, 'strerror', None) or error
        raise UserInputError(
            f'checkpoint {url} cannot be kept in the folder '
            f'{osp.dirname(path)}: {reason}. Set the environment variable '
            'TORCH_HOME to a folder that can be written and has space, '
            f'{_BY_HAND}'
        ) from error


def _fetch(url: str, path: str) -> None:
    print_log(f'downloading {url} to {path}', 'current')
    try:
        _receive_whole(url, path)
        _check_hash(url, path)
        os.replace(f'{path}.part', path)
        _discard_part(path)
    except OSError:
        _discard_part(path)  # a full disk gets its space back
        raise


def _receive_whole(url: str, path: str) -> None:
    for attempt, wait in enumerate((*WAITS, None), 1):
        try:
            return _receive_rest(url, path)
        except _Failure as error:
            failure = error
        if failure.code == 416 and osp.exists(f'{path}.part'):
            _discard_part(path)  # longer than the file is by now
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
        f'address and the connection, {_BY_HAND}'
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
        reason = getattr(error, 'reason', error)
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


def _begin_part(path: str, headers) -> None:
    """Empty the part, and note by what the server will know the file."""
    _discard_part(path)
    open(f'{path}.part', 'wb').close()
    validator = headers.get('ETag', 'W/')
    if validator.startswith('W/'):  # weak: not for ranges
        validator = headers.get('Last-Modified')
    if validator:
        with open(f'{path}.part.validator', 'w', encoding='latin-1') as file:
            file.write(validator)


def _discard_part(path: str) -> None:
    for name in (f'{path}.part.validator', f'{path}.part'):
        with suppress(FileNotFoundError):
            os.remove(name)


def _check_hash(url: str, path: str) -> None:
    expected = _HASH.search(osp.basename(path))
    if not expected:
        return
    digest = hashlib.sha256()
    with open(f'{path}.part', 'rb') as file:
        head = file.read(16)
        file.seek(0)
        for chunk in iter(lambda: file.read(_CHUNK), b''):
            digest.update(chunk)
    if not digest.hexdigest().startswith(expected.group(1)):
        size = osp.getsize(f'{path}.part')
        _discard_part(path)
        raise UserInputError(
            f'checkpoint {url} cannot be downloaded: the hash of what came is '
            f'{digest.hexdigest()[: len(expected.group(1))]}, not '
            f'{expected.group(1)} (it has {size} bytes, begins with {head!r} '
            'and was not kept). Open the URL in a browser to see what it '
            f'gives, {_BY_HAND}'
        )
