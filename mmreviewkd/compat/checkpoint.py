"""Read checkpoints without running code in them, on every torch.

mmengine calls ``torch.load`` with torch's default: before 2.6 that runs any
code a file holds, from 2.6 on it refuses mmengine's own checkpoints, which
hold :class:`mmengine.logging.HistoryBuffer`, so that resume fails. The loaders
here accept what ``weights_only=True`` accepts plus :data:`ALLOWED`, and refuse
anything else by name. They replace mmengine's for local files and URLs, and so
serve ``load_from``, ``--resume``, ``init_detector`` and the teacher alike.
"""
import _compat_pickle
import os
import os.path as osp
import pickle
import re
import types
from http.client import HTTPException
from typing import Any, Callable, Optional
from urllib.parse import urlparse

import numpy as np
import torch
from mmengine.dist import barrier, get_rank
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader

from ..errors import MissingFileError, UserInputError

# numpy 2 renamed numpy.core; a file names the module that wrote it
_numpy_globals = {
    f'numpy.{core}.multiarray.{value.__reduce__()[0].__name__}':
    value.__reduce__()[0]
    for core in ('core', '_core')
    for value in (np.zeros(0), np.float64(0))
}
_dtypes = {type(np.dtype(code)) for code in '?bhilqBHILQefd'}


def _history_statistic(owner: type, name: str) -> Callable:
    """``getattr`` for what a pickled HistoryBuffer looks up in its class."""
    if owner is HistoryBuffer and name in ('min', 'max', 'current', 'mean'):
        return getattr(owner, name)
    raise pickle.UnpicklingError(
        f'Unsupported global: GLOBAL getattr({owner!r}, {name!r})')


ALLOWED = {
    # mmengine's logs, which a resume restores, and the arrays they hold
    'mmengine.logging.history_buffer.HistoryBuffer': HistoryBuffer,
    'builtins.getattr': _history_statistic,
    **_numpy_globals,
    'numpy.ndarray': np.ndarray,
    'numpy.dtype': np.dtype,
    **{
        f'{t.__module__}.{t.__name__}': t
        for t in _dtypes
    }
}
"""Names that a checkpoint may hold beyond torch's own list."""

_HAS_SAFE_GLOBALS = hasattr(torch.serialization,
                            'get_unsafe_globals_in_checkpoint')  # torch >= 2.6


def _restricted_pickle():
    """``weights_only=True`` for torch < 2.6.

    There the mode exists, but its allow-list cannot be extended to objects
    such as HistoryBuffer; the ``pickle`` module's documented way, an Unpickler
    that resolves listed names alone, is equivalent.
    """
    import codecs
    import collections

    from torch._weights_only_unpickler import _get_allowed_globals
    allowed = {
        **_get_allowed_globals(),
        **ALLOWED, 'torch.device': torch.device,
        'torch.bool': torch.bool,
        'torch.bfloat16': torch.bfloat16,
        'torch.uint8': torch.uint8,
        'collections.Counter': collections.Counter,
        '_codecs.encode': codecs.encode,
        'builtins.set': set,
        'builtins.bytearray': bytearray,
        'builtins.complex': complex
    }

    class Unpickler(pickle.Unpickler):

        def find_class(self, module, name):
            # protocol 2, torch.save's default, writes Python 2's names
            module = _compat_pickle.IMPORT_MAPPING.get(module, module)
            try:
                return allowed[f'{module}.{name}']
            except KeyError:
                raise pickle.UnpicklingError(
                    f'Unsupported global: GLOBAL {module}.{name}') from None

    return types.SimpleNamespace(
        __name__='restricted_pickle',
        Unpickler=Unpickler,
        load=lambda file, **kwargs: Unpickler(file, **kwargs).load())


def load_local(filename: str, map_location: Any = None) -> dict:
    """Load a checkpoint file; nothing in it is executed.

    Args:
        filename (str): Path; ``~`` is expanded.
        map_location: As in :func:`torch.load`.

    Raises:
        FileNotFoundError: There is no such file.
        UserInputError: The file is no checkpoint (empty, truncated, an HTML
            page, ...) or holds a name outside the allow-list.
    """
    filename = osp.expanduser(filename)
    if osp.isdir(filename):
        raise UserInputError(f'checkpoint {filename} is a folder, not a file')
    if not osp.isfile(filename):
        raise MissingFileError(f'checkpoint {filename} does not exist')
    how = dict(weights_only=True) if _HAS_SAFE_GLOBALS else dict(
        pickle_module=_restricted_pickle())
    try:
        return torch.load(filename, map_location=map_location, **how)
    except Exception as error:  # a damaged file can raise nearly anything
        if isinstance(error.__context__, pickle.UnpicklingError):
            # torch >= 2.6 wraps it into a page of advice, also to run the code
            error = error.__context__
        reason = str(error) or type(error).__name__
    name = re.search(r'unsupported (?:global|class)\S* (?:GLOBAL )?([\w.]+)',
                     reason, re.IGNORECASE)
    if name:
        raise UserInputError(
            f'checkpoint {filename} was not loaded: it holds '
            f'"{name.group(1)}", which is not plain data and would run code. '
            'Ask its author for a file with weights only, or, if you trust '
            'it, convert it with torch.save(torch.load(file, '
            'weights_only=False)["state_dict"], new_file)')
    with open(filename, 'rb') as file:
        head = file.read(16)
    raise UserInputError(
        f'checkpoint {filename} cannot be read as a torch checkpoint: '
        f'{reason.splitlines()[0]} (the file has {osp.getsize(filename)} '
        f'bytes and begins with {head!r})')


def load_http(filename: str,
              map_location: Any = None,
              model_dir: Optional[str] = None) -> dict:
    """Download a checkpoint once into torch.hub's cache and load it.

    Args:
        filename (str): URL. A hash in its name, as in ``r50-0676ba61.pth``,
            is checked.
        map_location: As in :func:`torch.load`.
        model_dir (str, optional): Cache folder instead of torch.hub's.

    Raises:
        UserInputError: The download fails, or gives another hash; nothing is
            left behind. Else as :func:`load_local`.
    """
    folder = model_dir or osp.join(torch.hub.get_dir(), 'checkpoints')
    path = osp.join(folder, osp.basename(urlparse(filename).path))
    if get_rank() == 0:
        _download(filename, path)
    barrier()
    _download(filename, path)  # to the disks of further machines
    return load_local(path, map_location)


def _download(url: str, path: str) -> None:
    if osp.isfile(path):
        return
    os.makedirs(osp.dirname(path), exist_ok=True)
    file_hash = re.search(r'-(?=\d*[a-f])([a-f0-9]{8,})\.', osp.basename(path))
    try:
        torch.hub.download_url_to_file(url, path, file_hash
                                       and file_hash.group(1))
    except (HTTPException, RuntimeError, OSError) as error:
        raise UserInputError(
            f'checkpoint {url} cannot be downloaded: {error}') from None


def register_safe_loaders() -> None:
    """Make mmengine load local files and URLs through this module."""
    if _HAS_SAFE_GLOBALS:
        torch.serialization.add_safe_globals([
            (value, name) for name, value in ALLOWED.items()
        ])
    CheckpointLoader.register_scheme('', load_local, force=True)
    CheckpointLoader.register_scheme(('http://', 'https://'),
                                     load_http,
                                     force=True)
