"""A teacher's weights: read from any checkpoint, loaded whole or not."""
from typing import List, Optional, Union

import torch.nn as nn
from mmengine.runner import CheckpointLoader

from ..errors import UserInputError


def read_checkpoint(filename: str) -> dict:
    """A teacher's checkpoint, with its ``state_dict`` under that key.

    Raises:
        UserInputError: The file is missing, or is no checkpoint.
    """
    try:
        checkpoint = CheckpointLoader.load_checkpoint(filename, 'cpu')
    except FileNotFoundError as error:
        raise UserInputError(f'teacher {error}') from None
    if not isinstance(checkpoint, dict):
        raise UserInputError(f'teacher checkpoint {filename} holds a '
                             f'{type(checkpoint).__name__}, not weights')
    if 'state_dict' not in checkpoint:
        # the public CIFAR teachers have their weights under "model"
        checkpoint = dict(state_dict=checkpoint.get('model', checkpoint))
    checkpoint['state_dict'] = {
        key[7:] if key.startswith('module.') else key: value
        for key, value in checkpoint['state_dict'].items()
    }
    return checkpoint


def names_in(meta: Optional[Union[dict, List[dict]]]) -> Optional[tuple]:
    """The classes that a dataset's metainfo names; all the same of several."""
    if isinstance(meta, list):  # of a ConcatDataset
        known = {names_in(each) for each in meta}
        return known.pop() if len(known) == 1 else None
    # "CLASSES" in checkpoints of mmdet 2.x and of the first of 3.x
    names = {
        key.lower(): value
        for key, value in (meta or {}).items()
    }.get('classes')
    if isinstance(names, str):
        return (names, )
    return tuple(names) if names else None


def load_strictly(model: nn.Module, filename: str,
                  config: Union[str, dict]) -> Optional[tuple]:
    """Fill a model's parts from a checkpoint, all or nothing.

    Args:
        model (nn.Module): What it has no part of, its own heads for one, is
            skipped in the checkpoint.
        filename (str): The checkpoint.
        config (str | dict): Of the model; for the message.

    Returns:
        tuple[str] | None: The classes that it was trained for, if it says.

    Raises:
        UserInputError: Tensors are missing, left over or of another shape.
    """
    expected = model.state_dict()
    parts = {key.split('.')[0] for key in expected}
    checkpoint = read_checkpoint(filename)
    weights = checkpoint['state_dict']
    if parts == {'backbone'
                 } and not any(key.startswith('backbone.') for key in weights):
        # a bare network's, as others than this package save them
        weights = {f'backbone.{key}': value for key, value in weights.items()}
    weights = {
        key: value
        for key, value in weights.items() if key.split('.')[0] in parts
    }
    misshaped = {
        key: f'{key} {tuple(weights[key].shape)}, model {tuple(value.shape)}'
        for key, value in expected.items()
        if key in weights and weights[key].shape != value.shape
    }
    for key in misshaped:
        del weights[key]
    loaded = model.load_state_dict(weights, strict=False)
    missing = [
        key for key in loaded.missing_keys
        if not key.endswith('num_batches_tracked') and key not in misshaped
    ]
    problems = {
        'missing': missing,
        'unexpected': loaded.unexpected_keys,
        'of another shape': list(misshaped.values())
    }
    if any(problems.values()):
        raise UserInputError(
            f'teacher checkpoint {filename} does not fit {_name(config)}: of '
            f'{len(expected)} tensors in {", ".join(sorted(parts))} ' +
            '; '.join(f'{len(keys)} {problem} (first: {", ".join(keys[:3])})'
                      for problem, keys in problems.items() if keys) +
            '. A teacher filled only in part would teach noise')
    meta = checkpoint.get('meta') or {}
    return names_in(meta.get('dataset_meta') or meta)


def _name(config: Union[str, dict]) -> str:
    return config if isinstance(config, str) else f'a {config["type"]} config'
