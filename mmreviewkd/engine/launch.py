"""What the command line tools share: config, checks, errors in one line."""
import argparse
import errno
import os
import os.path as osp
import sys
import tempfile
import traceback
from contextlib import contextmanager
from typing import Iterator

import torch
from mmdet.utils import setup_cache_size_limit_of_dynamo
from mmengine.config import Config, ConfigDict, DictAction
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from ..errors import UserInputError
from ..models.configs import load_config


def add_cfg_options(parser: argparse.ArgumentParser) -> None:
    """The flag of tools that do not train, for :func:`read_config`."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='override settings of the config, as key=value pairs; lists as '
        'key="[a,b]" or key=a,b, nested ones as key="[(a,b),(c,d)]"')
    parser.set_defaults(launcher='none', local_rank=0, work_dir=None)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags that mmdet's ``train.py`` and ``test.py`` have in common."""
    parser.add_argument('--work-dir', help='folder for logs and checkpoints')
    add_cfg_options(parser)
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='job launcher')
    # torch.distributed.launch passes it in one spelling or the other
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)


def add_train_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of mmdet's ``train.py``."""
    add_arguments(parser)
    parser.add_argument(
        '--amp',
        action='store_true',
        help='train with automatic mixed precision')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate with the batch size')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='continue from this checkpoint or, without one, from the latest '
        'in the work dir')


def read_config(config: str, args: argparse.Namespace) -> Config:
    """The config with the common flags applied."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    # fewer recompilations where the config asks for torch.compile
    setup_cache_size_limit_of_dynamo()
    cfg = load_config(config)
    cfg.launcher = args.launcher
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    # command line, then config, then the config's name
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = osp.join('./work_dirs',
                                osp.splitext(osp.basename(config))[0])
    return cfg


def train(cfg: Config, args: argparse.Namespace) -> None:
    """Apply the training flags, check the data, and train."""
    if args.amp:
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.loss_scale = 'dynamic'
    if args.auto_scale_lr:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            raise UserInputError(
                '--auto-scale-lr needs auto_scale_lr=dict(base_batch_size=...)'
                f' in {cfg.filename}: the batch size that its learning rate '
                'is meant for')
        cfg.auto_scale_lr.enable = True
    if args.resume is not None:
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else args.resume
    check_data(cfg, 'train', 'val')
    check_machine(cfg)
    runner = build_runner(cfg)
    try:
        with named_images(runner):
            runner.train()
    except (ValueError, RuntimeError) as error:
        if not cfg.get('resume') or not ('parameter group' in str(error)
                                         or 'must match' in str(error)):
            raise
        raise UserInputError(
            'cannot resume: the optimizer of the checkpoint is for other '
            'parameters. Has the student, the teacher\'s width or the number '
            'of levels changed? To start a new run with its weights: '
            f'--cfg-options load_from=CHECKPOINT ({error})') from None


def add_test_time_augmentation(cfg: Config) -> None:
    """The config's test time augmentation, or flips merged by NMS."""
    cfg.setdefault(
        'tta_model',
        ConfigDict(
            type='DetTTAModel',
            tta_cfg=dict(
                nms=dict(type='nms', iou_threshold=0.5), max_per_img=100)))
    if 'tta_pipeline' not in cfg:
        dataset = next(_datasets(cfg.test_dataloader.dataset))
        pack = dict(
            type='PackDetInputs',
            meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape',
                       'scale_factor', 'flip', 'flip_direction'))
        flips = [dict(type='RandomFlip', prob=prob) for prob in (1., 0.)]
        cfg.tta_pipeline = [
            *dataset.pipeline[:-1],
            dict(type='TestTimeAug', transforms=[flips, [pack]])
        ]
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    next(_datasets(cfg.test_dataloader.dataset)).pipeline = cfg.tta_pipeline


def build_runner(cfg: Config) -> Runner:
    """mmengine's Runner, or the one that the config names."""
    return RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)


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
        for dataset in _datasets((cfg.get(key) or {}).get('dataset')):
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


def _datasets(dataset) -> Iterator[ConfigDict]:
    """The innermost datasets of wrappers such as RepeatDataset."""
    if isinstance(dataset, (list, tuple)):
        for each in dataset:
            yield from _datasets(each)
    elif dataset:
        inner = dataset.get('dataset') or dataset.get('datasets')
        yield from _datasets(inner) if inner else [dataset]


@contextmanager
def one_line_errors() -> Iterator[None]:
    """End the program with the message where the cause is its input."""
    try:
        yield
    except (UserInputError, FloatingPointError) as error:
        sys.exit(f'error: {error}')
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise
        sys.exit(f'error: {error}; whatever checkpoint is there is whole')
