"""Weights of a model: reads them from a checkpoint and loads them strictly."""

import glob
import os.path as osp
import re
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, Optional, Union

import torch.nn as nn
from mmengine.runner import CheckpointLoader
from torch import Tensor

from ..compat.internals import module_versions, set_module_versions
from ..errors import SettingError, UserInputError, near

# torch reports the shapes only in this message
_OTHER_SHAPE = re.compile(
    r'size mismatch for (\S+): .*?'
    r'torch\.Size\(\[(.*?)\]\).*?'
    r'torch\.Size\(\[(.*?)\]\)'
)


def load_file(filename: str, role: str) -> dict:
    """Load what a checkpoint holds, wherever its weights are.

    Args:
        filename (str): File or URL.
        role (str): Owner of the checkpoint, such as ``'student'``, for the message.

    Raises:
        UserInputError: The file is missing, or is no checkpoint.
    """
    try:
        return CheckpointLoader.load_checkpoint(filename, 'cpu')
    except FileNotFoundError as error:
        folder = glob.escape(osp.dirname(filename))
        others = glob.glob(osp.join(folder, '*.pth'))
        raise UserInputError(f'{role} {error}{near(filename, others)}') from None


def read_checkpoint(filename: str, entry: Optional[str] = None) -> dict:
    """Read a teacher's checkpoint; its weights are under ``'state_dict'``.

    Args:
        filename (str): File or URL.
        entry (str, optional): Entry of the file that holds the weights.

    Raises:
        UserInputError: The file is missing, is no checkpoint, or does not have
            the entry.
    """
    checkpoint = load_file(filename, 'teacher')
    if entry or 'state_dict' not in checkpoint:
        checkpoint = dict(
            checkpoint, state_dict=_weights_under(entry, checkpoint, filename)
        )
    return dict(checkpoint, state_dict=weights_of(checkpoint))


def weights_of(checkpoint: dict) -> dict[str, Tensor]:
    """Return the weights of a loaded checkpoint, without the ``module.`` of wrappers.

    Args:
        checkpoint (dict): The weights, or a checkpoint with the weights under
            ``'state_dict'``, where the loader also puts those of other formats.
    """
    saved = checkpoint.get('state_dict', checkpoint)
    weights = OrderedDict(
        (key[7:] if key.startswith('module.') else key, value)
        for key, value in saved.items()
    )
    set_module_versions(weights, module_versions(saved))
    return weights


def methods_in(weights: Iterable[str]) -> set[str]:
    """Return the names of the methods that have parameters in a checkpoint.

    Args:
        weights (Iterable[str]): Names of the weights. A method is recognised by its
            saved settings; ``review`` also without them, as in early checkpoints.
    """
    remembered = {
        key.partition('.')[0]
        for key in weights
        if key.count('.') == 1 and key.endswith('._extra_state')
    }
    return remembered | {'review'} & {key.partition('.')[0] for key in weights}


def _weights_under(entry: Optional[str], checkpoint: dict, filename: str) -> dict:
    """Return the weights in one entry of a file, or the file if it is the weights."""
    entries = [
        key
        for key, value in checkpoint.items()
        if isinstance(value, dict)
        and value
        and all(
            isinstance(tensor, Tensor) or str(name).endswith('_extra_state')
            for name, tensor in value.items()
        )
    ]
    if entry in entries:
        return checkpoint[entry]
    if entry is None and not entries:
        return checkpoint
    found = f'teacher checkpoint {filename} has weights under ' + (
        ', '.join(map(repr, entries)) or 'no name'
    )
    if entry is None:
        raise SettingError(
            f"{found}, not under 'state_dict'; to take them: {{}}",
            'teacher',
            'weights',
            entries[0],
        )
    raise SettingError(
        f'{{}}: {found}{near(entry, entries)}', 'teacher', 'weights', entry
    )


def names_in(meta: Any) -> Optional[tuple]:
    """Return the class names in a dataset's metainfo, or None if there are none.

    Args:
        meta: A dict, a list with a dict for each dataset of a ConcatDataset, which
            must agree, or anything else that a checkpoint has in this place.
    """
    known = {_names(each) for each in (meta if isinstance(meta, list) else [meta])}
    return known.pop() if len(known) == 1 else None


def _names(meta: Any) -> Optional[tuple]:
    if not isinstance(meta, dict):
        return None
    # the key is "CLASSES" in checkpoints of mmdet 2.x and early 3.x
    names = {str(key).lower(): value for key, value in meta.items()}.get('classes')
    if isinstance(names, str):
        return (names,)
    if isinstance(names, (list, tuple)) and all(
        isinstance(name, str) for name in names
    ):
        return tuple(names) or None
    return None


def load_strictly(
    model: nn.Module,
    filename: str,
    config: Union[str, dict],
    entry: Optional[str] = None,
) -> Optional[tuple]:
    """Load a checkpoint into a teacher, and refuse one that does not fit exactly.

    Args:
        model (nn.Module): The teacher. Parts of the checkpoint that it does not
            have, such as dropped heads, are skipped.
        filename (str): The checkpoint.
        config (str | dict): Config of the model, for messages.
        entry (str, optional): Entry of the file that holds the weights.

    Returns:
        tuple[str] | None: The class names in the checkpoint, if it has any.

    Raises:
        UserInputError: Tensors are missing, unexpected or of another shape.
    """
    checkpoint = read_checkpoint(filename, entry=entry)
    problems = _fill(model, checkpoint['state_dict'])
    expected = model.state_dict()
    prefix = problems['missing'] and _prefix(expected, checkpoint['state_dict'])
    if prefix:
        source = repr(filename) + (f', entry={entry!r}' if entry else '')
        raise UserInputError(
            f'teacher checkpoint {filename} has the names of {_name(config)} '
            f'with {prefix!r} before them, as saved by a model around it. To '
            'write a file without: python -c "import torch; from '
            'mmreviewkd.models.weights import read_checkpoint; '
            f'c = read_checkpoint({source}); torch.save(dict('
            f"meta=c.get('meta'), state_dict={{k[{len(prefix)}:]: v for k, v "
            f"in c['state_dict'].items() if k.startswith({prefix!r})}}), "
            "'new.pth')\""
        )
    parts = {key.split('.')[0] for key in expected}
    problems['unexpected'] = [
        key for key in problems['unexpected'] if key.split('.')[0] in parts
    ]
    if any(problems.values()):
        raise UserInputError(
            f'teacher checkpoint {filename} does not fit {_name(config)}: of '
            f'{len(expected)} tensors in {", ".join(sorted(parts))} '
            f'{_listed(problems)}. A teacher filled only in part would teach '
            'noise'
        )
    meta = checkpoint.get('meta') or {}
    return names_in(meta.get('dataset_meta') or meta)


def _prefix(expected: Iterable[str], weights: Iterable[str]) -> str:
    """Return the prefix of a model's parameter names in a checkpoint, or ''."""
    owns = ['']
    if all(key.startswith('backbone.') for key in expected):
        owns.append('backbone.')  # a classifier also loads names without it
    for own in owns:
        names = [key[len(own) :] for key in expected]
        for key in weights:
            prefix = key[: -len(names[0])]
            if (
                prefix != own
                and key == prefix + names[0]
                and 2 * sum(prefix + name in weights for name in names) > len(names)
            ):
                return prefix
    return ''


def load_whole(model: nn.Module, checkpoint: dict, filename: str) -> None:
    """Load a checkpoint into all of a model; other parts of the file are skipped.

    Args:
        model (nn.Module): The model.
        checkpoint (dict): The loaded checkpoint.
        filename (str): File of the checkpoint, for messages.

    Raises:
        UserInputError: Tensors are missing or of another shape, or the
            checkpoint has a deeper backbone.
    """
    problems = _fill(model, weights_of(checkpoint))
    # the review, heads that this model does not have, and the like are skipped
    problems['unexpected'] = [
        key for key in problems['unexpected'] if key.startswith('backbone.')
    ]
    if any(problems.values()):
        raise UserInputError(
            f'checkpoint {filename} does not fit {type(model).__name__}: of '
            f'{len(model.state_dict())} tensors {_listed(problems)}. Does it '
            'belong to this config?'
        )


def _fill(model: nn.Module, weights: dict[str, Tensor]) -> dict:
    """Load the weights that fit, by the names that the model knows.

    Returns:
        dict[str, list[str]]: The tensors that were missing, unexpected and of
        another shape.
    """
    names, misshaped = [], []
    # the hook is called before torch raises an error for the shapes
    handle = model.register_load_state_dict_post_hook(
        lambda module, keys: names.extend(keys)
    )
    try:
        model.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        misshaped = _OTHER_SHAPE.findall(str(error))
        if not misshaped:
            raise UserInputError(
                f'weights cannot be put into a {type(model).__name__}: '
                f'{" ".join(str(error).split())}'
            ) from error
    finally:
        handle.remove()
    missing, unexpected = names
    return {
        'missing': [key for key in missing if not key.endswith('num_batches_tracked')],
        'unexpected': unexpected,
        'of another shape': [
            f'{key} ({ours}), model ({own})' for key, ours, own in misshaped
        ],
    }


def _listed(problems: dict[str, list[str]]) -> str:
    return '; '.join(
        f'{len(keys)} {problem} (first: {", ".join(keys[:3])})'
        for problem, keys in problems.items()
        if keys
    )


def _name(config: Union[str, dict]) -> str:
    return config if isinstance(config, str) else f'a {config["type"]} config'
