"""What is looked at before a run starts, and named where it is wrong."""
import os
import os.path as osp
import tempfile
import traceback
from contextlib import contextmanager
from typing import Iterator

import torch
from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner

from ..errors import UserInputError


@contextmanager
def named_images(runner: Runner) -> Iterator[None]:
    """Name the files where a run stops at an image that cannot be read.

    Raises:
        UserInputError: It lists all of the data's that are missing or empty.
    """
    try:
        yield
    except Exception as error:
        # mmcv's lines that read an image; a worker's are in the message
        text = traceback.format_exc()
        if not any(
                line in text for line in ('fileio.get(', 'mmcv.imfrombytes(',
                                          'failed to load image')):
            raise
        broken = [
            path for path in _image_paths(runner) if '://' not in path and (
                not osp.isfile(path) or not osp.getsize(path))
        ]
        if broken:
            raise UserInputError(
                f'{len(broken)} images are missing or empty: ' +
                ', '.join(broken[:5]) +
                (', ...' if len(broken) > 5 else '')) from None
        # the content, then; mmcv's message has the file's name
        message = str(error).strip().splitlines()[-1:]
        if 'failed to load image' not in ''.join(message):
            raise
        raise UserInputError(message[0]) from None


def _image_paths(runner: Runner) -> Iterator[str]:
    """Of the datasets that have been built."""
    for loop in (runner._train_loop, runner._val_loop, runner._test_loop):
        dataset = getattr(getattr(loop, 'dataloader', None), 'dataset', None)
        if not hasattr(dataset, 'get_data_info'):
            continue
        for index in range(len(dataset)):
            yield dataset.get_data_info(index).get('img_path', '')


def check_data(cfg: Config, *splits: str) -> None:
    """Find missing annotation files and image folders before a run starts.

    Raises:
        UserInputError: One is missing; all of them are named.
    """
    missing = []
    for split in splits:
        key = f'{split}_dataloader'
        for dataset in datasets((cfg.get(key) or {}).get('dataset')):
            root = dataset.get('data_root') or ''
            paths = [dataset.get('ann_file')]
            prefix = dataset.get('data_prefix') or {}
            paths += [prefix] if isinstance(prefix, str) else prefix.values()
            missing += [
                f'{osp.join(root, path)} ({key})' for path in paths
                if path and '://' not in root +
                path and not osp.exists(osp.join(root, path))
            ]
        metrics = cfg.get(f'{split}_evaluator') or []
        for metric in metrics if isinstance(metrics, list) else [metrics]:
            path = metric.get('ann_file')
            if path and '://' not in path and not osp.exists(path):
                missing.append(f'{path} ({split}_evaluator)')
    if missing and cfg.get('backend_args') is None:
        raise UserInputError('no such file or folder: ' + ', '.join(missing) +
                             '. Set data_root in the config, or link the data '
                             'there')


def check_machine(cfg: Config) -> None:
    """Find a work dir or GPU that cannot be used before a run starts.

    Raises:
        UserInputError: It names the folder or the launcher.
    """
    try:
        os.makedirs(cfg.work_dir, exist_ok=True)
        with tempfile.TemporaryFile(dir=cfg.work_dir):
            pass
    except OSError as error:
        raise UserInputError(
            f'cannot write to work dir {cfg.work_dir}: {error}') from None
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if cfg.launcher != 'none' and int(os.environ['LOCAL_RANK']) >= gpus:
        raise UserInputError(
            f'--launcher {cfg.launcher} starts one process per GPU, and torch '
            f'{torch.__version__} sees {gpus or "no"} GPU here')
    if not gpus and 'Amp' in (cfg.get('optim_wrapper') or {}).get('type', ''):
        raise UserInputError("mmengine's mixed precision (--amp) needs a GPU, "
                             f'and torch {torch.__version__} sees none here')


def datasets(dataset) -> Iterator[ConfigDict]:
    """The innermost datasets of wrappers such as RepeatDataset."""
    if isinstance(dataset, (list, tuple)):
        for each in dataset:
            yield from datasets(each)
    elif dataset:
        inner = dataset.get('dataset') or dataset.get('datasets')
        yield from datasets(inner) if inner else [dataset]
