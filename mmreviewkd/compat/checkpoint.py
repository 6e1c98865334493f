"""Reads checkpoints as data: nothing in a file is executed.

mmengine calls ``torch.load`` with torch's default. Before 2.6, that runs any
code in a file; since 2.6 it refuses mmengine's own checkpoints, which
contain :class:`mmengine.logging.HistoryBuffer`, so that resuming fails. The loaders
here replace mmengine's for every scheme (0.10.7, OneDL's 0.10.12), and so are used
by ``load_from``, ``--resume``, ``init_detector`` and the teacher.
``torch.load`` itself, which other code calls, is not changed.
"""

import io
import os.path as osp
import re
import tempfile
from typing import Any, BinaryIO, Optional

import torch
from mmengine.fileio import get_file_backend
from mmengine.runner import CheckpointLoader
from mmengine.runner import checkpoint as mmengine_checkpoint
from torch.serialization import default_restore_location

from ..errors import MissingFileError, MissingPackageError, UserInputError, near
from .archive import read_archive
from .download import download
from .not_data import NotData, printable, short

_SAFETENSORS = '.safetensors'


def load_from_local(filename: str, map_location: Any = None) -> dict:
    """Read a checkpoint file; nothing in it is executed.

    Args:
        filename (str): Path; ``~`` is expanded. Names that end in
            ``.safetensors`` need the package safetensors.
        map_location: Device of the tensors, as in :func:`torch.load`.

    Returns:
        dict: Content of the file. Weights under ``model``, as classification
        networks are published, are also under ``state_dict``.

    Raises:
        FileNotFoundError: There is no such file.
        UserInputError: The file is no checkpoint (empty, truncated, an HTML
            page, ...), contains something other than data, or its weights are not
            named tensors.
    """
    filename = osp.expanduser(filename)
    if osp.isdir(filename):
        raise UserInputError(f'checkpoint {filename} is a folder, not a file')
    if not osp.isfile(filename):
        raise MissingFileError(f'checkpoint {filename} does not exist')
    if filename.endswith(_SAFETENSORS):
        return _load_safetensors(filename, map_location)
    with open(filename, 'rb') as file:
        return _load(file, filename, map_location)


def load_from_http(
    filename: str, map_location: Any = None, model_dir: Optional[str] = None
) -> dict:
    """Download a checkpoint once into torch.hub's cache, and read it.

    Args:
        filename (str): URL. A hash in its name, as in ``r50-0676ba61.pth``,
            is checked.
        map_location: Device of the tensors, as in :func:`torch.load`.
        model_dir (str, optional): Cache folder instead of torch.hub's.

    Raises:
        UserInputError: The download fails, or is no checkpoint; the file is
            not kept. Other errors are those of :func:`load_from_local`.
    """
    return download(
        filename, lambda path: load_from_local(path, map_location), model_dir
    )


def load_from_torchvision(filename: str, map_location: Any = None) -> dict:
    """Read a checkpoint by torchvision's name, ``torchvision://resnet50``."""
    name = re.sub('^(modelzoo|torchvision)://', '', filename)
    urls = mmengine_checkpoint.get_torchvision_models()
    return load_from_http(_find(filename, name, urls), map_location)


def load_from_openmmlab(filename: str, map_location: Any = None) -> dict:
    """Read a checkpoint by OpenMMLab's name, ``open-mmlab://resnet50_caffe``."""
    name = re.sub('^open-?mmlab://', '', filename)
    name = mmengine_checkpoint.get_deprecated_model_names().get(name, name)
    url = _find(filename, name, mmengine_checkpoint.get_external_models())
    if url.startswith(('http://', 'https://')):
        return load_from_http(url, map_location)
    return load_from_local(
        osp.join(mmengine_checkpoint._get_mmengine_home(), url), map_location
    )


def load_from_mmcls(filename: str, map_location: Any = None) -> dict:
    """Read a backbone by mmcls' name, ``mmcls://mobilenet_v2``."""
    name = re.sub('^mmcls://', '', filename)
    url = _find(filename, name, mmengine_checkpoint.get_mmcls_models())
    # keeps only the classifier's backbone
    return mmengine_checkpoint._process_mmcls_checkpoint(
        load_from_http(url, map_location)
    )


def load_from_ceph(
    filename: str, map_location: Any = None, backend: str = 'petrel'
) -> dict:
    """Read a checkpoint from an object store, ``s3://bucket/name.pth``."""
    try:
        content = get_file_backend(filename, backend_args=dict(backend=backend)).get(
            filename
        )
    except ImportError as error:
        raise UserInputError(
            f'checkpoint {filename} needs the client of its store: {error}'
        ) from None
    return _load(io.BytesIO(content), filename, map_location)


def load_from_pavi(filename: str, map_location: Any = None) -> dict:
    """Read a checkpoint from the model store, ``pavi://NAME``."""
    try:
        from pavi import modelcloud
    except ImportError:
        raise UserInputError(
            f'checkpoint {filename} needs the package "pavi"'
        ) from None
    with tempfile.TemporaryDirectory() as folder:
        model = modelcloud.get(re.sub('^pavi://', '', filename))
        path = osp.join(folder, model.name)
        model.download(path)
        return load_from_local(path, map_location)


SCHEMES = {
    '': load_from_local,
    ('http://', 'https://'): load_from_http,
    ('modelzoo://', 'torchvision://'): load_from_torchvision,
    ('open-mmlab://', 'openmmlab://'): load_from_openmmlab,
    'mmcls://': load_from_mmcls,
    (r'(\S+\:)?s3://', r'(\S+\:)?petrel://'): load_from_ceph,
    'pavi://': load_from_pavi,
}
"""All URL schemes that mmengine knows, with their loaders in this module."""


def register_safe_loaders() -> None:
    """Make mmengine read checkpoints of every scheme with this module."""
    for prefixes, loader in SCHEMES.items():
        CheckpointLoader.register_scheme(prefixes, loader, force=True)


def _find(filename: str, name: str, urls: dict) -> str:
    if name in urls:
        return urls[name]
    raise UserInputError(
        f'checkpoint {filename}: there is no such name{near(name, urls)}'
    )


def _load(file: BinaryIO, filename: str, map_location: Any) -> dict:

    def place(storage: torch.UntypedStorage, location: str) -> torch.UntypedStorage:
        if callable(map_location):
            placed = map_location(storage, location)
            if placed is not None:
                return placed
        elif isinstance(map_location, dict):
            location = map_location.get(location, location)
        elif map_location is not None:
            location = str(map_location)
        return default_restore_location(storage, location)

    try:
        checkpoint = read_archive(file, place)
    except NotData as error:
        name, reason = printable(error.name), printable(error.reason, 200)
        use = f' ({reason})' if reason else ''
        raise UserInputError(
            f'checkpoint {filename} was not loaded: it holds "{name}"{use}, '
            'which is not plain data and would run code. Ask its '
            'author for a file with weights only or, if you trust it, read it '
            'with torch.load(file, weights_only=False) and write its weights '
            'alone with torch.save(dict(state_dict=weights), new_file)'
        ) from None
    except Exception as error:  # a damaged file can raise nearly anything
        file.seek(0)
        head = file.read(16)
        size = file.seek(0, io.SEEK_END)
        reason = printable((str(error).splitlines() or [type(error).__name__])[0], 300)
        raise UserInputError(
            f'checkpoint {filename} cannot be read as a torch checkpoint: '
            f'{reason} (the file has {size} bytes and begins with {head!r})'
        ) from None
    checkpoint = _check_weights(checkpoint, filename)
    meta = checkpoint.get('meta')
    if isinstance(meta, dict):
        # mmdet 2.x saved its config as text there, and when resuming, mmengine
        # would run that text as Python
        meta.pop('config', None)
    return checkpoint


def _load_safetensors(filename: str, map_location: Any) -> dict:
    try:
        from safetensors.torch import load_file
    except ImportError:
        raise MissingPackageError(
            f'checkpoint {filename} is of safetensors: pip install safetensors'
        ) from None
    device = 'cpu' if map_location is None else map_location
    try:
        weights = load_file(filename, device=str(device))
    except Exception as error:  # safetensors raises more than SafetensorError
        raise UserInputError(
            f'checkpoint {filename} cannot be read as a safetensors file: '
            f'{printable(str(error) or type(error).__name__, 300)}'
        ) from None
    return _check_weights(weights, filename)


def _check_weights(checkpoint: Any, filename: str) -> dict:
    if not isinstance(checkpoint, dict):
        raise UserInputError(
            f'checkpoint {filename} holds a {type(checkpoint).__name__}, not weights'
        )
    meta = checkpoint.get('meta')
    if meta is None:
        checkpoint.pop('meta', None)
    elif not isinstance(meta, dict):
        raise UserInputError(
            f'checkpoint {filename} has under "meta" a '
            f'{type(meta).__name__}, not a dict'
        )
    if 'state_dict' in checkpoint:
        under, weights = ' under "state_dict"', checkpoint['state_dict']
    elif any(isinstance(key, str) and '.' in key for key in checkpoint):
        under, weights = '', checkpoint  # the file itself is the weights
    elif 'model' in checkpoint and not any(map(_has_tensors, checkpoint.values())):
        under, weights = ' under "model"', checkpoint['model']
    else:
        if _problem(checkpoint.get('model')) is None:
            checkpoint['state_dict'] = checkpoint['model']
        return checkpoint
    problem = _problem(weights)
    if problem:
        raise UserInputError(f'checkpoint {filename} has{under} {problem}')
    return checkpoint


def _problem(weights: Any) -> Optional[str]:
    """Return why a value is not a dict of named tensors, or None if it is."""
    if not isinstance(weights, dict):
        return f'a {type(weights).__name__}, not weights by name'
    for name, value in weights.items():
        if not isinstance(name, str):
            return f'the key {short(name)}, not names'
        if not isinstance(value, torch.Tensor) and not name.endswith('_extra_state'):
            return f'a {type(value).__name__}, not a tensor, at {printable(name)}'
        if not name.isprintable():
            return f'the name {printable(name)}'
    return None if weights else 'no weights'


def _has_tensors(value: Any) -> bool:
    return isinstance(value, dict) and any(
        isinstance(each, torch.Tensor) for each in value.values()
    )
