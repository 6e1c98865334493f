"""Show Review-KD of a classifier in two minutes: teacher, student, distilled.

The three are trained one after the other, with the same schedule, on drawn 32x32
images. The results are a table, some test images with the three predictions, and
curves.
"""

import argparse
import os.path as osp
import time
from statistics import median

import torch
from mmdet.registry import MODELS
from mmengine.device import get_device
from mmengine.evaluator import Evaluator
from mmengine.registry import init_default_scope
from mmengine.runner import Runner, find_latest_checkpoint

from ..demo.glyphs import CLASSES, make_archives
from ..models.configs import load_config
from ..models.image_labels import image_labels
from ..models.weights import load_file, load_whole
from ..visualization import draw_labels, plot_curves
from . import demo
from .demo import TITLES, own_folder, print_end, train_all, write_table

TEACHER = 'mmreviewkd::demo_cls/resnet14_glyphs.py'
STUDENT = 'mmreviewkd::demo_cls/resnet8-w8_glyphs.py'
DISTILLED = 'mmreviewkd::demo_cls/review-kd_resnet14_resnet8-w8_glyphs.py'
# name of the run and its folder: config for training, config for evaluation
RUNS = {
    'teacher': (TEACHER, TEACHER),
    'student': (STUDENT, STUDENT),
    'distilled': (DISTILLED, STUDENT),
}
RESULTS = ('table.md', 'summary.json', 'examples.png', 'curves.png')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    demo.add_arguments(parser, 'demo_cls')


def run(args: argparse.Namespace) -> None:
    start = time.time()
    work_dir = args.work_dir = osp.abspath(args.work_dir)
    with own_folder(work_dir, RESULTS):
        print('=== drawing the data', flush=True)
        # the images do not depend on the seed of the trainings
        make_archives(
            osp.join(work_dir, 'data'),
            *((200, 100) if args.quick else (2500, 1000)),
            seed=0,
        )
        train_all(RUNS, data_settings(work_dir), args)
        print('=== comparing the three', flush=True)
        results, images, labels, answers = evaluate(work_dir)
        report(work_dir, results, args.seed)
        draw_labels(
            images, labels, answers, CLASSES, osp.join(work_dir, 'examples.png')
        )
        plot_curves(
            {TITLES[name]: osp.join(work_dir, name) for name in RUNS},
            osp.join(work_dir, 'curves.png'),
            metric='accuracy/top1',
            percent=1,
            labels=('cross-entropy', 'top-1 accuracy'),
        )
    print_end(work_dir, start)


def data_settings(work_dir: str) -> dict:
    """Return the config settings for data outside their default place."""
    return {
        f'{split}_dataloader.dataset.path': osp.join(work_dir, 'data', archive)
        for split, archive in (
            ('train', 'train.npz'),
            ('val', 'test.npz'),
            ('test', 'test.npz'),
        )
    }


def evaluate(work_dir: str, examples: int = 10) -> tuple:
    """Load the three as plain classifiers, and run them on the test images.

    Returns:
        tuple: Accuracy and cost of each model; the first test images, their
        labels, and each model's predictions for them.
    """
    init_default_scope('mmdet')
    models, metrics = {}, {}
    for name, (_, config) in RUNS.items():
        cfg = load_config(config)
        cfg.merge_from_dict(data_settings(work_dir))
        # the student's config is enough for the distilled student, too
        models[name] = MODELS.build(cfg.model).to(get_device()).eval()
        filename = find_latest_checkpoint(osp.join(work_dir, name))
        load_whole(models[name], load_file(filename, name), filename)
        metrics[name] = Evaluator(cfg.test_evaluator)
    loader = Runner.build_dataloader(cfg.test_dataloader)
    speeds: dict[str, list[float]] = {name: [] for name in RUNS}
    for batch in loader:
        # in turn, so that other load on the machine slows down all three alike
        for name, model in models.items():
            for _ in range(2):  # the first finds other weights in the caches
                start = time.perf_counter()
                with torch.no_grad():
                    samples = model.test_step(batch)
                if torch.cuda.is_available():
                    torch.cuda.synchronize()
            speeds[name].append(len(samples) / (time.perf_counter() - start))
            metrics[name].process(samples)
    results = {}
    for name, metric in metrics.items():
        scores = metric.evaluate(len(loader.dataset))
        results[name] = dict(
            top1=scores['accuracy/top1'],
            top5=scores['accuracy/top5'],
            parameters=sum(p.numel() for p in models[name].parameters()),
            images_per_second=median(speeds[name]),
        )

    # the first images, not selected ones
    batch = loader.dataset[torch.arange(examples)]
    answers = {}
    for name, model in models.items():
        with torch.no_grad():
            answers[TITLES[name]] = [
                int(sample['pred_scores'].argmax()) for sample in model.test_step(batch)
            ]
    images = batch['inputs'].permute(0, 2, 3, 1).numpy()
    return results, images, image_labels(batch['data_samples']).tolist(), answers


def report(work_dir: str, results: dict[str, dict], seed: int) -> None:
    """Print and write the table, and write the results behind it."""
    rows = [
        {
            'model': TITLES[name],
            'top-1': f'{result["top1"]:.1f}',
            'top-5': f'{result["top5"]:.1f}',
            'parameters': f'{result["parameters"]:,}',
            'images per second': f'{result["images_per_second"]:.0f}',
        }
        for name, result in results.items()
    ]
    gain = results['distilled']['top1'] - results['student']['top1']
    write_table(work_dir, rows, f'{gain:+.1f} top-1', results, seed)
