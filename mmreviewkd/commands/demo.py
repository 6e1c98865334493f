"""Show Review-KD in minutes: a teacher, a student alone, a distilled student.

The three are trained one after the other, with the same schedule, on drawn
shapes. The results are a table, predictions beside the ground truth, and curves.
"""

import argparse
import json
import os
import os.path as osp
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from statistics import median

import torch
from mmcv import imread
from mmdet.apis import init_detector
from mmdet.registry import DATASETS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.dataset import BaseDataset, pseudo_collate
from mmengine.device import get_device
from mmengine.evaluator import Evaluator
from mmengine.runner import find_latest_checkpoint

from ..compat.config_names import config_folder
from ..demo import make_dataset
from ..engine.work_dir import locked_work_dir
from ..errors import UserInputError
from ..models.configs import load_config
from ..tables.markdown import markdown_table
from ..visualization import draw_comparison, make_folder, plot_curves
from .arguments import add_path

TEACHER = 'mmreviewkd::demo/faster-rcnn_r18-w32_fpn_6e_shapes.py'
STUDENT = 'mmreviewkd::demo/faster-rcnn_r18-w8_fpn_6e_shapes.py'
DISTILLED = 'mmreviewkd::demo/review-kd_faster-rcnn_r18-w32_r18-w8_fpn_6e_shapes.py'
# name of the run and its folder: config for training, config for evaluation
RUNS = {
    'teacher': (TEACHER, TEACHER),
    'student': (STUDENT, STUDENT),
    'distilled': (DISTILLED, STUDENT),
}
TITLES = dict(teacher='teacher', student='student alone', distilled='distilled student')
RESULTS = ('table.md', 'summary.json', 'predictions.png', 'curves.png')
MARKER = 'made_by_mmreviewkd_demo'
"""The first file that a demo writes; a folder without it is somebody else's."""


def add_arguments(parser: argparse.ArgumentParser, folder: str = 'demo') -> None:
    add_path(
        parser,
        '--work-dir',
        default=osp.join('work_dirs', folder),
        help='folder for all that the demo writes; default: %(default)s',
    )
    parser.add_argument(
        '--seed', type=int, default=0, help='seed of the three trainings'
    )
    parser.add_argument(
        '--quick',
        action='store_true',
        help='a few images and an epoch: runs everything, teaches nothing',
    )


def run(args: argparse.Namespace) -> None:
    start = time.time()
    work_dir = args.work_dir = osp.abspath(args.work_dir)
    with own_folder(work_dir, RESULTS):
        data = osp.join(work_dir, 'data')
        print('=== drawing the data', flush=True)
        # the images do not depend on the seed of the trainings
        make_dataset(data, *((16, 8) if args.quick else (640, 200)), seed=0)
        train_all(RUNS, data_settings(work_dir), args)
        print('=== comparing the three', flush=True)
        dataset, results, predictions = evaluate(work_dir)
        report(work_dir, dataset, results, predictions, args.seed)
    print_end(work_dir, start)


@contextmanager
def own_folder(work_dir: str, results: Sequence[str]) -> Iterator[None]:
    """Make the demo's folder, or remove the files of an earlier run from it.

    Meanwhile no other demo can use it.

    Raises:
        UserInputError: There are files in the folder, and no demo has made it, or
            another one is running in it.
    """
    marker = osp.join(work_dir, MARKER)
    if osp.isdir(work_dir) and os.listdir(work_dir) and not osp.exists(marker):
        raise UserInputError(
            f'{work_dir} is not empty and has no file {MARKER}, which a demo writes '
            'first: choose another --work-dir, or remove the folder if the demo of an '
            'earlier version wrote it'
        )
    make_folder(work_dir)
    open(marker, 'w').close()
    with locked_work_dir(Config(dict(work_dir=work_dir, launcher='none'))):
        for name in TITLES:
            shutil.rmtree(osp.join(work_dir, name), ignore_errors=True)
        for name in results:
            with suppress(FileNotFoundError):
                os.remove(osp.join(work_dir, name))
        yield


def train_all(
    runs: dict[str, tuple[str, str]], data: dict, args: argparse.Namespace
) -> None:
    """Train the three models in turn, with settings that locate the data."""
    for number, (name, (config, _)) in enumerate(runs.items(), 1):
        print(f'=== training {number} of {len(runs)}: {TITLES[name]}', flush=True)
        train(name, config, dict(data), args)


def train(name: str, config: str, settings: dict, args: argparse.Namespace) -> None:
    """Train one of the three models in a process of its own, as a user would."""
    work_dir = args.work_dir
    settings['randomness.seed'] = args.seed
    if name == 'distilled':
        settings['model.teacher.checkpoint'] = find_latest_checkpoint(
            osp.join(work_dir, 'teacher')
        )
    if args.quick:
        settings['train_cfg.max_epochs'] = 1
    # not by --cfg-options, which split paths at commas and spaces
    cfg = load_config(config)
    cfg.merge_from_dict(settings)
    path = osp.join(work_dir, f'{name}.py')
    cfg.dump(path)
    # a script, so that Python does not import packages from the current folder
    tool = osp.join(osp.dirname(config_folder()), 'tools', 'train.py')
    command = [sys.executable, tool, path, '--work-dir', osp.join(work_dir, name)]
    status = subprocess.run(command).returncode
    if status:
        raise UserInputError(
            f'training the {TITLES[name]} ended with exit status '
            f'{status}; the reason is above'
        )


def data_settings(work_dir: str) -> dict:
    """Return the config settings for data outside their default place."""
    data = osp.join(work_dir, 'data')
    annotations = osp.join(data, 'annotations', 'val.json')
    return {
        'train_dataloader.dataset.data_root': data,
        'val_dataloader.dataset.data_root': data,
        'val_evaluator.ann_file': annotations,
        'test_dataloader.dataset.data_root': data,
        'test_evaluator.ann_file': annotations,
    }


def evaluate(
    work_dir: str,
) -> tuple[BaseDataset, dict[str, dict], dict[str, list[DetDataSample]]]:
    """Load the three as plain detectors, and run them on the same images.

    Returns:
        tuple: The validation data; AP and cost of each model; its predictions.
    """
    models, metrics = {}, {}
    for name, (_, config) in RUNS.items():
        cfg = load_config(config)
        cfg.merge_from_dict(data_settings(work_dir))
        # the student's config is enough for the distilled student, too
        models[name] = init_detector(
            cfg, find_latest_checkpoint(osp.join(work_dir, name)), device=get_device()
        )
        metrics[name] = Evaluator(cfg.val_evaluator)
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    seconds: dict[str, list[float]] = {name: [] for name in RUNS}
    predictions: dict[str, list[DetDataSample]] = {name: [] for name in RUNS}
    for index in range(len(dataset)):
        batch = pseudo_collate([dataset[index]])
        # in turn, so that other load on the machine slows down all three alike
        for name, model in models.items():
            start = time.perf_counter()
            with torch.no_grad():
                predictions[name] += model.test_step(batch)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            seconds[name].append(time.perf_counter() - start)
    results = {}
    for name, metric in metrics.items():
        metric.dataset_meta = dataset.metainfo
        metric.process(predictions[name])
        scores = metric.evaluate(len(dataset))
        results[name] = dict(
            AP=scores['coco/bbox_mAP'],
            AP50=scores['coco/bbox_mAP_50'],
            AP75=scores['coco/bbox_mAP_75'],
            parameters=sum(p.numel() for p in models[name].parameters()),
            seconds_per_image=median(seconds[name]),
        )
    return dataset, results, predictions


def report(
    work_dir: str,
    dataset: BaseDataset,
    results: dict[str, dict],
    predictions: dict[str, list[DetDataSample]],
    seed: int,
) -> None:
    """Print and write the table, and write the results behind it and the pictures."""
    *_, pictures, curves = (osp.join(work_dir, name) for name in RESULTS)
    rows = [
        {
            'model': TITLES[name],
            **{key: f'{100 * result[key]:.1f}' for key in ('AP', 'AP50', 'AP75')},
            'parameters': f'{result["parameters"]:,}',
            'seconds per image': f'{result["seconds_per_image"]:.4f}',
        }
        for name, result in results.items()
    ]
    gain = 100 * (results['distilled']['AP'] - results['student']['AP'])
    write_table(work_dir, rows, f'{gain:+.1f} AP', results, seed)

    # the first images, not selected ones
    truth = [dataset[index]['data_samples'] for index in range(5)]
    columns = {'ground truth': [sample.gt_instances for sample in truth]}
    for name, samples in predictions.items():
        found = [sample.pred_instances for sample in samples[: len(truth)]]
        columns[TITLES[name]] = [each[each.scores > 0.5] for each in found]
    draw_comparison(
        [imread(sample.img_path, channel_order='rgb') for sample in truth],
        columns,
        dataset.metainfo,
        pictures,
    )
    plot_curves({TITLES[name]: osp.join(work_dir, name) for name in RUNS}, curves)


def write_table(
    work_dir: str, rows: list[dict], gain: str, results: dict[str, dict], seed: int
) -> None:
    """Print and write the table, and write the results behind it."""
    text = f'{markdown_table(rows)}\n\ndistilled - alone: {gain} (seed {seed})\n'
    print(f'\n{text}')
    with open(osp.join(work_dir, 'table.md'), 'w', encoding='utf-8') as file:
        file.write(text)
    with open(osp.join(work_dir, 'summary.json'), 'w', encoding='utf-8') as file:
        json.dump(dict(seed=seed, **results), file, indent=2)


def print_end(work_dir: str, start: float) -> None:
    """Print the time since ``start``, and the folder of the results."""
    minutes = (time.time() - start) / 60
    print(
        f'{minutes:.1f} minutes on {get_device()}; table, pictures, logs '
        f'and checkpoints are in {osp.relpath(work_dir)}'
    )
