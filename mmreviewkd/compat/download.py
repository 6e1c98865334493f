"""Downloads checkpoints once, and keeps no broken files.

torch.hub names a cached file after the last part of the URL only, accepts whatever
a server sends as the file, waits forever, and always starts from the beginning.
"""

import hashlib
import logging
import os
import os.path as osp
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Callable, Optional, TypeVar
from urllib.parse import urlparse

import torch
from filelock import FileLock, Timeout
from mmengine.dist import broadcast_object_list, get_rank
from mmengine.logging import print_log

from ..errors import MissingPackageError, UserInputError
from .transfer import BY_HAND, discard_part, receive

T = TypeVar('T')

_HASH = re.compile(r'-(?=\d*[a-f])([a-f0-9]{8,})\.')
_CHUNK = 1 << 16


def download(url: str, read: Callable[[str], T], folder: Optional[str] = None) -> T:
    """Read the file at a URL, which is downloaded once into a cache.

    If ``read`` refuses the cached file, it is downloaded again. An interrupted download
    is continued, in this run or the next one. In a distributed run, every rank must
    call this function.

    Args:
        url (str): URL. A hash in its file name, as in ``r50-0676ba61.pth``,
            is checked.
        read (Callable): Computes the result from a path. It raises UserInputError
            if the file is not what it should be.
        folder (str, optional): The cache. Defaults to torch.hub's.

    Raises:
        UserInputError: The download fails, has another hash or is refused by
            ``read``, or the cache cannot be written. The message names
            the URL; a refused file is not kept, unless it is a MissingPackageError
            that ``read`` raises. Every rank raises the error.
    """
    folder = osp.expanduser(folder or osp.join(torch.hub.get_dir(), 'checkpoints'))
    path = osp.join(folder, _cached_name(url))
    failure: list[Optional[str]] = [None]
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
    return _cached(url, read, path)  # downloads it if this is another machine


def _cached_name(url: str) -> str:
    try:
        name = osp.basename(urlparse(url).path)
        digest = hashlib.sha256(url.encode()).hexdigest()[:12]
    except ValueError as error:
        raise UserInputError(f'checkpoint {url} is no valid URL: {error}') from error
    if _HASH.search(name):
        return name  # torch.hub and mmengine use this name, so it may be there
    name = re.sub(r'[^\w.-]', '_', name, flags=re.ASCII)[-100:]
    stem, suffix = osp.splitext(name or 'checkpoint')
    return f'{stem}_{digest}{suffix}'


def _cached(url: str, read: Callable[[str], T], path: str) -> T:
    if osp.isfile(path):  # without the lock, since the cache may be read-only
        try:
            return read(path)
        except MissingPackageError as error:  # the file may be whole
            raise _naming(url, path, error) from None
        except UserInputError as error:
            print_log(
                f'{error}; it is downloaded anew from {url}', 'current', logging.WARNING
            )
    with _locked(url, path):
        if osp.isfile(path):  # another process may have downloaded it meanwhile
            with suppress(UserInputError):
                return read(path)
        _fetch(url, path)
        try:
            return read(path)
        except MissingPackageError as error:
            raise _naming(url, path, error) from None
        except UserInputError as error:
            os.remove(path)
            raise UserInputError(
                f'{str(error).replace(path, url)}. It was not kept; open the '
                'URL in a browser to see what it gives, a login page for '
                f'example, {BY_HAND}'
            ) from error


def _naming(url: str, path: str, error: MissingPackageError) -> MissingPackageError:
    return MissingPackageError(str(error).replace(path, url))


@contextmanager
def _locked(url: str, path: str) -> Iterator[None]:
    """Lock a cached file against other processes, or raise an error if that fails."""
    try:
        os.makedirs(osp.dirname(path), exist_ok=True)
        # never removed, since another process may be waiting for it
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
    except (OSError, NotImplementedError) as error:  # the latter without flock
        reason = getattr(error, 'strerror', None) or error
        raise UserInputError(
            f'checkpoint {url} cannot be kept in the folder '
            f'{osp.dirname(path)}: {reason}. Set the environment variable '
            'TORCH_HOME to a folder that can be written and has space, '
            f'{BY_HAND}'
        ) from error


def _fetch(url: str, path: str) -> None:
    print_log(f'downloading {url} to {path}', 'current')
    try:
        receive(url, path)
        _check_hash(url, path)
        os.replace(f'{path}.part', path)
        discard_part(path)
    except OSError:
        discard_part(path)  # frees the space if the disk is full
        raise


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
        discard_part(path)
        raise UserInputError(
            f'checkpoint {url} cannot be downloaded: the hash of what came is '
            f'{digest.hexdigest()[: len(expected.group(1))]}, not '
            f'{expected.group(1)} (it has {size} bytes, begins with {head!r} '
            'and was not kept). Open the URL in a browser to see what it '
            f'gives, {BY_HAND}'
        )
