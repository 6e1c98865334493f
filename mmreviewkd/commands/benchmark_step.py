"""Time and peak memory of the training steps of a distillation config.

Measures, with random weights and made-up images, in interleaved runs:

- ``student``: the training step of the student alone: forward, losses, backward,
  optimizer;
- ``teacher``: the teacher's forward pass, from the student's batch on;
- ``methods``: the losses of the review and of other methods, forward and backward, on
  the features and logits of one step;
- ``distilled``: the training step of the config's model, which contains all of these;
- ``distilled, measuring``: with ``weight='auto'``, one of the ten training steps at
  the beginning of a run in which gradients are measured, too.

The steps are the model's own ``train_step`` with the config's ``optim_wrapper``, at
learning rate 0. Checkpoints are not needed and not downloaded, but for SSKD's head. If
the training data are there, the speed of the config's ``train_dataloader`` is measured,
too. ``--compile`` adds both training steps with backbones, necks and review in
torch.compile.

Times are medians of interleaved runs. Peak memory is what torch allocates during a step
at most, beyond weights and optimizer state; mmreviewkd/commands/measuring.py describes
how it is measured.

Examples:
    mmreviewkd benchmark step \\
        mmreviewkd::coco/review-kd_faster-rcnn_r101-r50_fpn_ms-1x_coco.py
    mmreviewkd benchmark step --amp --batch 8 --size 800x1333 CONFIG
    mmreviewkd benchmark step --compile \\
        mmreviewkd::cifar100/review-kd_resnet56_resnet20.py
"""

import argparse
import copy
import os.path as osp
import time
from typing import Any, Union

import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from ..compat.coco import quiet_coco
from ..engine.check_data import check_data
from ..engine.check_settings import check_given
from ..engine.launch import read_config
from ..errors import UserInputError
from ..models.adapters import adapter_of
from .arguments import CONFIG, add_cfg_options, add_path
from .measuring import (
    add_step_arguments,
    check_arguments,
    compile_seconds,
    machine,
    median_seconds,
    peak_memory,
    read_size,
    show,
    write_json,
)
from .random_batches import random_images, random_scenes
from .training_steps import TRAININGS, build_models, build_steps, compile_parts

# of detectors, in pixels; those of classifiers are in their configs
CUDA_SIZE, CPU_SIZE = '800x1333', '480x640'
LOADING_SECONDS = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_path(parser, 'config', help=f'config of a distillation: {CONFIG}')
    add_step_arguments(parser)
    parser.add_argument(
        '--compile-mode',
        metavar='MODE',
        help='mode of torch.compile with --compile; reduce-overhead takes CUDA graphs',
    )
    parser.add_argument(
        '--batch', type=int, help="images per batch; default: the config's"
    )
    parser.add_argument(
        '--size',
        metavar='HEIGHTxWIDTH',
        help=f'of the images (detectors, CUDA: {CUDA_SIZE}; CPU: {CPU_SIZE}; '
        "classifiers: the config's)",
    )
    add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    check_arguments(args, 'batch', 'repeats')
    if args.compile_mode and not args.compile:
        raise UserInputError(f'--compile-mode {args.compile_mode} is for --compile')
    compile_mode = args.compile_mode or 'default'
    size = read_size('size', args.size) if args.size else None
    cfg = read_config(args.config, args)
    # with --batch, the steps are measured without data
    check_given(cfg, 'optim_wrapper', *([] if args.batch else ['train_dataloader']))
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    # as mmengine's Runner sets it
    torch.backends.cudnn.benchmark = bool(cfg.get('env_cfg', {}).get('cudnn_benchmark'))
    models = build_models(cfg, args.device)
    size = size or default_size(models['student'], args.device)
    count = args.batch or cfg.train_dataloader.batch_size
    batch = make_batch(models['student'], count, size)
    if args.compile:
        compiled = build_models(cfg, args.device)
        compile_parts(compiled, compile_mode)
        models.update({f'{name}, compiled': each for name, each in compiled.items()})
    steps, prepare = build_steps(cfg, args, models, batch)
    result: dict[str, Any] = dict(
        benchmark='step',
        machine=machine(args.device),
        settings=dict(
            config=osp.splitext(osp.basename(cfg.filename))[0],
            batch=count,
            size='x'.join(map(str, size)),
            levels=models['distilled'].distillation.match.names,
            amp=args.amp,
            repeats=args.repeats,
        ),
    )
    if args.compile:
        result['settings']['compile_mode'] = compile_mode
        result['compile_seconds'] = {
            name: compile_seconds(step, args.device, prepare)
            for name, step in steps.items()
            if 'compiled' in name
        }
    result['seconds'] = median_seconds(steps, args.repeats, args.device, prepare)
    result['peak_bytes'] = {
        name: peak_memory(steps[name], args.device, prepare) for name in TRAININGS
    }
    result['loading'] = measure_loading(cfg)
    report(result)
    write_json(args.json, result)


def default_size(student: BaseModel, device: str) -> tuple[int, int]:
    """Return the usual height and width of a student's images."""
    adapter = adapter_of(student)
    if not adapter.has_boxes:
        return (adapter.image_size(student),) * 2
    return read_size('size', CUDA_SIZE if device.startswith('cuda') else CPU_SIZE)


def make_batch(student: BaseModel, count: int, size: tuple[int, int]) -> dict:
    """Make a batch of random images with the annotations that a student needs."""
    adapter = adapter_of(student)
    classes = min((number for _, number in adapter.class_settings(student)), default=2)
    if adapter.has_boxes:
        return random_scenes(count, size, classes, masks=student.with_mask)
    return random_images(count, size, classes)


def measure_loading(cfg: Config) -> dict[str, Union[float, str]]:
    """Measure the images per second of the config's training data.

    Returns:
        dict: ``images_per_second`` of the first ten seconds, or of an epoch if it is
        shorter; or ``missing``, what is missing of the data.
    """
    try:
        check_given(cfg, 'train_dataloader')
        check_data(cfg, 'train')
        with quiet_coco():
            loader = Runner.build_dataloader(copy.deepcopy(cfg.train_dataloader))
    except (UserInputError, OSError) as error:
        return dict(missing=str(error))
    start, images = time.perf_counter(), 0
    for batch in loader:
        images += len(batch['inputs'])
        seconds = time.perf_counter() - start
        if seconds > LOADING_SECONDS:
            break
    return dict(images_per_second=images / seconds)


def report(result: dict[str, Any]) -> None:
    """Print the table and the ratios of the results."""
    settings, seconds, peaks = (
        result[key] for key in ('settings', 'seconds', 'peak_bytes')
    )
    rows = [
        {
            '': name,
            'time': f'{1000 * taken:.1f} ms',
            'to student': f'{taken / seconds["student"]:.2f}x',
            'images/s': f'{settings["batch"] / taken:.1f}',
            'peak memory': f'{peaks[name] / 2**20:.0f} MiB' if name in peaks else '',
        }
        for name, taken in seconds.items()
    ]
    where, distilled = result['machine'], seconds['distilled']
    lines = [
        'distilled / (student + teacher): '
        f'{distilled / (seconds["student"] + seconds["teacher"]):.2f}x; '
        f'peak memory, distilled / student: '
        f'{peaks["distilled"] / peaks["student"]:.2f}x',
        f'data loading: {result["loading"]["images_per_second"]:.0f} images/s'
        if 'images_per_second' in result['loading']
        else f'data loading: no data ({result["loading"]["missing"]})',
    ]
    for name, first in result.get('compile_seconds', {}).items():
        lines.append(f'first run of {name}: {first:.1f} s')
    show(
        f'{settings["config"]}; {where["device"]}; torch {where["torch"]}; '
        f'{settings["batch"]} x 3x{settings["size"]}'
        f'{"; mixed precision" if settings["amp"] else ""}; median of '
        f'{settings["repeats"]} steps',
        rows,
        lines,
    )
