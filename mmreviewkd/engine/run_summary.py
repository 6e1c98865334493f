"""What a run is about, in a few lines before its first iteration."""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn as nn
from mmengine.config import Config
from mmengine.dist import get_world_size
from mmengine.model import BaseModel
from mmengine.runner import EpochBasedTrainLoop, Runner

from ..compat.type_name import type_name
from ..compat.unwrap import unwrap
from ..models import Distilled


def run_summary(runner: Runner, changed: dict[str, Any]) -> str:
    """Describe who learns what from whom, on which data and for how long.

    Args:
        runner (Runner): The runner, about to train, with its data built.
        changed (dict): Settings that the command line changed, by path.

    Returns:
        str: One line per fact, after an empty line.
    """
    rows = [('config', runner.cfg.filename or 'of no file')]
    rows += [('changed', f'{key}={value}') for key, value in changed.items()]
    # a FlexibleRunner builds its model as late as in training
    if isinstance(runner.model, nn.Module):
        rows += _models(runner.cfg, unwrap(runner.model))
    rows += _data(runner)
    rows += _schedule(runner)
    rows.append(('log', f'{runner.log_dir}, with the whole config'))
    return ''.join(f'\n{name:9} {value}' for name, value in rows)


def _models(cfg: Config, model: BaseModel) -> Iterator[tuple[str, str]]:
    methods = model.distillation.methods if isinstance(model, Distilled) else ()
    own = sum(
        parameter.numel()
        for name, parameter in model.named_parameters()
        if name.partition('.')[0] not in methods
    )
    yield (
        'student' if methods else 'model',
        f'{type(model).__name__}, {own / 1e6:.1f} M parameters',
    )
    yield 'weights', _weights(cfg, model)
    if not isinstance(model, Distilled):
        return
    distillation = model.distillation
    teacher = distillation.teacher
    scale = teacher.settings.scale
    yield (
        'teacher',
        f'{type(teacher.model).__name__}, {teacher.settings.checkpoint}'
        + (f', sees images at {scale} times the size' if scale != 1 else ''),
    )
    yield 'levels', ', '.join(distillation.match.names)
    for name in methods:
        method = getattr(model, name)
        kind = '' if name == 'review' else f'{type(method).__name__}, '
        weight = f'{method.weight:g}' if method.auto is None else 'auto'
        yield 'method', f'{name}: {kind}weight {weight}'


def _weights(cfg: Config, model: BaseModel) -> str:
    """Say what a model starts from, and warn of random layers that stay random."""
    if cfg.get('resume'):
        return 'of the run that is resumed'
    if cfg.get('load_from'):
        return cfg.load_from
    backbone = getattr(model, 'backbone', None)
    given = getattr(backbone, 'init_cfg', None) or []
    for each in given if isinstance(given, (list, tuple)) else [given]:
        if type_name(each) == 'Pretrained':
            return f'backbone of {each["checkpoint"]}'
    if isinstance(model, Distilled) and model.distillation.inherit:
        return f"the teacher's {', '.join(model.distillation.inherit)}"
    frozen = getattr(backbone, 'frozen_stages', -1)
    if isinstance(frozen, int) and frozen >= 0:
        return (
            f'none; yet frozen_stages={frozen} keeps the first layers as they are, at '
            'random: set frozen_stages=-1, norm_eval=False'
        )
    return 'none'


def _data(runner: Runner) -> Iterator[tuple[str, str]]:
    for split in ('train', 'val'):
        loop = getattr(runner, f'{split}_loop')
        if loop is None:
            continue
        loader, processes = loop.dataloader, get_world_size()
        yield (
            split,
            f'{len(loader.dataset)} images, batches of {_batch_size(loader)}'
            + (f' on each of {processes} processes' if processes > 1 else ''),
        )


def _batch_size(loader: Any) -> int:
    # a loader with a batch sampler, as mmdet's AspectRatioBatchSampler, has none itself
    return loader.batch_size or loader.batch_sampler.batch_size


def _schedule(runner: Runner) -> Iterator[tuple[str, str]]:
    loop = runner.train_loop
    length = (
        f'{loop.max_epochs} epochs of {len(loop.dataloader)} iterations'
        if isinstance(loop, EpochBasedTrainLoop)
        else f'{loop.max_iters} iterations'
    )
    wrapper = runner.cfg.get('optim_wrapper') or {}
    optimizer = wrapper.get('optimizer') or {}
    yield (
        'schedule',
        f'{length}, {type_name(optimizer) or "no optimizer named"}'
        f', lr {optimizer.get("lr")}'
        + (', mixed precision' if 'Amp' in type_name(wrapper) else '')
        + f', seed {runner.seed}',
    )
    yield 'device', f'{_device(runner.model)}torch {torch.__version__}'


def _device(model: Any) -> str:
    if not isinstance(model, nn.Module):
        return ''
    device = next(model.parameters()).device
    name = torch.cuda.get_device_name(device) if device.type == 'cuda' else device
    return f'{name}, '
