"""Images per second of the CIFAR pipeline, compared with torchvision's usual one.

Both load normalised training batches with random crops (padding 4) and flips,
onto the device, from the same random images:

- per image: PIL image, RandomCrop, RandomHorizontalFlip, ToTensor and
  Normalize, collated by torch's DataLoader with each number of workers;
- per batch: the pipeline of ``mmreviewkd::_base_/cifar100.py``. A batch is one
  indexing of a uint8 tensor, augmented and normalised on the device.

The results are medians of interleaved epochs (A B C A B C ...) in this process.
An epoch includes starting the workers, as in training.

Examples:
    mmreviewkd benchmark loading
    mmreviewkd benchmark loading --device cuda --workers 0 2 8
"""

import argparse
import os.path as osp
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from statistics import median
from typing import Callable

import numpy as np
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from ..errors import UserInputError
from ..models.configs import load_config
from .measuring import add_device, check_arguments, machine, show, write_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_device(parser)
    parser.add_argument('--images', type=int, default=10000, help='images in an epoch')
    parser.add_argument('--batch', type=int, default=128, help='images in a batch')
    parser.add_argument(
        '--workers',
        type=int,
        nargs='+',
        default=[0, 2],
        help='of the per-image pipeline, which is timed with each',
    )
    parser.add_argument(
        '--repeats', type=int, default=5, help='timed epochs of each pipeline'
    )


class PILImages(Dataset):
    """Dataset like torchvision's CIFAR: an array is made a PIL image when loaded."""

    def __init__(
        self, images: np.ndarray, labels: np.ndarray, transform: Callable
    ) -> None:
        self.images, self.labels = images, labels.tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple:
        image = Image.fromarray(self.images[index])
        return self.transform(image), self.labels[index]


def build_per_batch(args: argparse.Namespace, cfg: Config, archive: str) -> Callable:
    """Build the package's pipeline from its config with mmengine's Runner."""
    init_default_scope('mmdet')
    loader = Runner.build_dataloader(
        dict(
            cfg.train_dataloader,
            batch_size=args.batch,
            dataset=dict(type='ArchiveImages', path=archive, num_classes=100),
        )
    )
    preprocessor = MODELS.build(cfg.model.data_preprocessor).to(args.device)

    def epoch() -> Iterator[Tensor]:
        for batch in loader:
            yield preprocessor(batch, training=True)['inputs']

    return epoch


def build_per_image(
    args: argparse.Namespace, cfg: Config, archive: str, workers: int
) -> Callable:
    """Build the pipeline of torchvision's examples, with the same settings."""
    settings = cfg.model.data_preprocessor
    with np.load(archive) as arrays:
        dataset = PILImages(
            arrays['x'],
            arrays['y'],
            transforms.Compose(
                [
                    transforms.RandomCrop(32, padding=settings.padding),
                    transforms.RandomHorizontalFlip(),
                    transforms.ToTensor(),
                    transforms.Normalize(
                        [v / 255 for v in settings.mean],
                        [v / 255 for v in settings.std],
                    ),
                ]
            ),
        )
    on_cuda = args.device.startswith('cuda')
    loader = DataLoader(
        dataset, args.batch, shuffle=True, num_workers=workers, pin_memory=on_cuda
    )

    def epoch() -> Iterator[Tensor]:
        for images, labels in loader:
            labels.to(args.device, non_blocking=on_cuda)
            yield images.to(args.device, non_blocking=on_cuda)

    return epoch


def images_per_second(args: argparse.Namespace, epoch: Callable) -> float:
    """Measure how many images per second one epoch of a pipeline loads."""
    start, count = time.perf_counter(), 0
    for images in epoch():
        count += len(images)
    if args.device.startswith('cuda'):
        torch.cuda.synchronize(args.device)
    assert count == args.images and images.shape[1:] == (3, 32, 32)
    return count / (time.perf_counter() - start)


def run(args: argparse.Namespace) -> None:
    check_arguments(args, 'images', 'batch', 'repeats')
    if min(args.workers) < 0:
        raise UserInputError(f'--workers {min(args.workers)}: must be at least 0')
    cfg = load_config('mmreviewkd::_base_/cifar100.py')
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        archive = osp.join(folder, 'random.npz')
        np.savez(
            archive,
            x=rng.integers(0, 256, (args.images, 32, 32, 3), dtype=np.uint8),
            y=rng.integers(0, 100, args.images),
        )
        per_image = partial(build_per_image, args, cfg, archive)
        pipelines = {
            **{
                f'per image, {workers} workers': per_image(workers)
                for workers in args.workers
            },
            'per batch': build_per_batch(args, cfg, archive),
        }
    speeds: dict[str, list[float]] = {name: [] for name in pipelines}
    for repeat in range(-1, args.repeats):
        for name, epoch in pipelines.items():
            speed = images_per_second(args, epoch)
            if repeat >= 0:  # the first epoch of each pipeline is warm-up
                speeds[name].append(speed)

    medians = {name: median(each) for name, each in speeds.items()}
    where = machine(args.device)
    settings = {key: getattr(args, key) for key in ('images', 'batch', 'repeats')}
    show(
        f'{where["device"]}; torch {where["torch"]}; {args.images} images of '
        f'32x32, batches of {args.batch}; median of {args.repeats} epochs',
        [
            {
                'pipeline': name,
                'images per second': f'{medians[name]:.0f}',
                'slowest': f'{min(each):.0f}',
                'fastest': f'{max(each):.0f}',
                'per batch is': f'{medians["per batch"] / medians[name]:.1f}x',
            }
            for name, each in speeds.items()
        ],
    )
    write_json(
        args.json,
        dict(
            benchmark='loading',
            machine=where,
            settings=settings,
            images_per_second=medians,
        ),
    )
