"""What the command line tools share: flags, config, runner."""
import argparse
import os
import os.path as osp

from mmdet.utils import setup_cache_size_limit_of_dynamo
from mmengine.config import Config, ConfigDict, DictAction
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from ..errors import UserInputError
from ..models.configs import load_config
from .checks import check_data, check_machine, datasets, named_images


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
        dataset = next(datasets(cfg.test_dataloader.dataset))
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
    next(datasets(cfg.test_dataloader.dataset)).pipeline = cfg.tta_pipeline


def build_runner(cfg: Config) -> Runner:
    """mmengine's Runner, or the one that the config names."""
    return RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
