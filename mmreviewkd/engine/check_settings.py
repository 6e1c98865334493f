"""Checks the numbers in a config before a run starts."""

import inspect
import logging
import math
from collections.abc import Iterator
from typing import Any, Callable, NamedTuple

from mmengine.config import Config
from mmengine.registry import OPTIMIZERS
from torch.utils.data import DataLoader

from ..compat.type_name import type_name
from ..errors import UserInputError, near
from .registry_errors import unknown_type


class _Kind(NamedTuple):
    name: str
    holds: Callable[[Any], bool]


def _is_number(value: Any) -> bool:
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and not math.isnan(value)
    )


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


_POSITIVE = _Kind('a number > 0', lambda v: _is_number(v) and v > 0)
_NUMBER = _Kind('a number >= 0', lambda v: _is_number(v) and v >= 0)
_COUNT = _Kind('a whole number >= 1', lambda v: _is_whole(v, 1))
_WHOLE = _Kind('a whole number >= 0', lambda v: _is_whole(v, 0))
_SEED = _Kind(
    'a whole number from 0 to 4294967295, or None',
    lambda v: v is None or (_is_whole(v, 0) and v < 2**32),
)
_STEPS = _Kind(
    'a list of whole numbers',
    lambda v: isinstance(v, (list, tuple)) and all(_is_whole(step, 0) for step in v),
)

_INTERVAL = _Kind('a whole number; -1 saves none', lambda v: _is_whole(v, -1))
_LEVEL = _Kind(
    'a level of logging, such as INFO',
    lambda v: (
        v is None
        or _is_whole(v, 0)
        or (isinstance(v, str) and isinstance(logging.getLevelName(v), int))
    ),
)
_DICT = _Kind('a dict', lambda v: isinstance(v, dict))
_DATA = _Kind('a dict', lambda v: not isinstance(v, (str, int, float)))

_TRAINING = {
    'optim_wrapper.optimizer.lr': _NUMBER,
    'optim_wrapper.optimizer.weight_decay': _NUMBER,
    'optim_wrapper.clip_grad.max_norm': _POSITIVE,
    'optim_wrapper.accumulative_counts': _COUNT,
    'train_cfg.max_epochs': _COUNT,
    'train_cfg.max_iters': _COUNT,
    'train_cfg.val_interval': _COUNT,
    'randomness.seed': _SEED,
    'auto_scale_lr.base_batch_size': _COUNT,
    'default_hooks.checkpoint.interval': _INTERVAL,
    'default_hooks.logger.interval': _COUNT,
    'log_level': _LEVEL,
    'model': _DICT,
}
_LOADING = {'batch_size': _COUNT, 'num_workers': _WHOLE, 'dataset': _DATA}

# the arguments of torch's loader, and those that mmengine itself takes
_LOADER_KEYS = {
    *inspect.signature(DataLoader).parameters,
    'num_batch_per_epoch',
    'disable_subprocess_warning',
}


def check_settings(cfg: Config, *splits: str) -> None:
    """Check that settings are numbers in the valid range before a run starts.

    Args:
        cfg (Config): The whole config.
        splits (str): Splits whose data are loaded: ``'train'``, ``'val'`` or
            ``'test'``. With ``'train'``, optimizer and schedule are checked too.
            A config may be without validation.

    Raises:
        UserInputError: The message names each wrong setting with its path, its
            value and what it must be.
    """
    problems: list[str] = []
    if 'train' in splits:
        for path, kind in _TRAINING.items():
            problems += _problems(cfg, path, kind)
        problems += _optimizer_problems(cfg)
        problems += _scheduler_problems(cfg.get('param_scheduler') or [])
        problems += _unit_problems(cfg)
    for split in splits:
        problems += _loader_problems(cfg, f'{split}_dataloader')
        problems += _split_problems(cfg, split)
    if problems:
        raise UserInputError('; '.join(dict.fromkeys(problems)))


def check_given(cfg: Config, *names: str) -> None:
    """Check that settings are given which a config may be without.

    Args:
        cfg (Config): The whole config.
        names (str): Settings such as ``'val_dataloader'``.

    Raises:
        UserInputError: A setting is missing or None; the message names it.
    """
    for name in names:
        if cfg.get(name) is None:
            raise UserInputError(f'{cfg.filename} has no {name}')


def _problems(node: Any, path: str, kind: _Kind) -> Iterator[str]:
    """Yield what is wrong with a setting, nothing if it is not set."""
    *parents, name = path.split('.')
    for depth, parent in enumerate(parents, 1):
        node = node.get(parent)
        if isinstance(node, (str, int, float)):
            yield f'{".".join(parents[:depth])}={node!r}: must be a dict'
        if not isinstance(node, dict):
            return
    known = isinstance(node, (dict, Config)) and name in node
    if known and not kind.holds(node[name]):
        yield f'{path}={node[name]!r}: must be {kind.name}'


def _optimizer_problems(cfg: Config) -> Iterator[str]:
    """Check the optimizer's type; mmengine fails to inspect an unknown one."""
    wrapper = cfg.get('optim_wrapper')
    optimizer = wrapper.get('optimizer') if isinstance(wrapper, dict) else None
    name = optimizer.get('type') if isinstance(optimizer, dict) else None
    scope = cfg.get('default_scope')
    with OPTIMIZERS.switch_scope_and_registry(scope) as registry:
        if isinstance(name, str) and registry.get(name) is None:
            yield f'optim_wrapper.optimizer: {unknown_type(name, registry)}'


def _scheduler_problems(schedulers: Any) -> Iterator[str]:
    many = isinstance(schedulers, (list, tuple))
    for i, each in enumerate(schedulers if many else [schedulers]):
        for problem in _problems(each, 'milestones', _STEPS):
            yield f'param_scheduler{f".{i}" if many else ""}.{problem}'


def _unit_problems(cfg: Config) -> Iterator[str]:
    """Check that no hook of the package counts epochs in a run of iterations."""
    loop = cfg.get('train_cfg')
    if not isinstance(loop, dict) or not (
        type_name(loop) == 'IterBasedTrainLoop' or loop.get('by_epoch') is False
    ):
        return
    for i, hook in enumerate(cfg.get('custom_hooks') or []):
        ours = isinstance(hook, dict) and type_name(hook) == 'ReviewWeightHook'
        if ours and hook.get('by_epoch', True):
            yield (
                f'custom_hooks.{i}: ReviewWeightHook (--warmup) counts epochs, and '
                'train_cfg iterations: set by_epoch=False, and points in iterations'
            )


def _split_problems(cfg: Config, split: str) -> Iterator[str]:
    """Check that all settings of a split are given, or of validation none."""
    loader = f'{split}_dataloader'
    beside = (
        f'{split}_cfg',
        'optim_wrapper' if split == 'train' else f'{split}_evaluator',
    )
    if cfg.get(loader) is None and split != 'val':
        yield f'{loader}=None: the config has no data to {split} with'
        return
    for key in beside:
        if cfg.get(loader) is None and cfg.get(key) is not None:
            yield f'{loader}=None: {key} must be None as well, or neither'
        elif cfg.get(loader) is not None and cfg.get(key) is None:
            yield f'{key}=None: must be given beside {loader}'


def _loader_problems(cfg: Config, name: str) -> Iterator[str]:
    for key, kind in _LOADING.items():
        yield from _problems(cfg, f'{name}.{key}', kind)
    loader = cfg.get(name)
    if not isinstance(loader, dict):
        return
    for key in sorted(set(loader) - _LOADER_KEYS):
        yield f'{name} has no argument {key}{near(key, _LOADER_KEYS)}'
    if loader.get('persistent_workers') and not loader.get('num_workers'):
        yield (f'{name}.persistent_workers=True: must be False where num_workers is 0')
