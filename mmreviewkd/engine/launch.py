"""What the commands that read a config and run it have in common."""

import argparse
import os
import os.path as osp
import traceback

from mmdet.utils import setup_cache_size_limit_of_dynamo
from mmengine.config import Config, ConfigDict
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from ..compat.coco import quiet_coco
from ..compat.compiling import notice_hooks
from ..compat.saving import latest_whole_checkpoint
from ..errors import UserInputError
from ..models.configs import load_config
from .broadcast_buffers_hook import BroadcastBuffersHook
from .cfg_options import merge_options
from .check_classes import check_classes
from .check_data import check_data, datasets, name_files_in_errors, named_images
from .check_indices import check_indices
from .check_pair import warn_if_alike
from .check_settings import check_settings
from .checks import check_machine, check_strategy
from .one_line_errors import resumable
from .palettes import complete_palettes
from .quiet_runner import QuietRunner
from .run_summary import run_summary
from .work_dir import holds_run, locked_work_dir


def read_config(config: str, args: argparse.Namespace) -> Config:
    """Load the config, and apply the flags that all commands share."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    # avoids recompilations if the config uses torch.compile
    setup_cache_size_limit_of_dynamo()
    name_files_in_errors()
    cfg = load_config(config)
    cfg.launcher = args.launcher
    if args.cfg_options:
        merge_options(cfg, args.cfg_options)
    # from the command line, else from the config, else named after the config
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = osp.join('./work_dirs', osp.splitext(osp.basename(config))[0])
    return cfg


def train(cfg: Config, args: argparse.Namespace) -> None:
    """Apply the flags of training, check the data, and train.

    Meanwhile the work dir is locked. A :class:`ResumeHook` and a
    :class:`BroadcastBuffersHook` are added to the run.
    """
    check_settings(cfg, 'train', 'val')
    set_amp_and_scaling(cfg, args)  # distill has done so for its dump
    if args.resume == 'auto':
        # without a checkpoint, a first start: from what the config starts from
        cfg.resume = latest_whole_checkpoint(cfg.work_dir) is not None
        cfg.load_from = None if cfg.resume else cfg.get('load_from')
    elif args.resume is not None:
        cfg.resume = True
        cfg.load_from = args.resume
    check_data(cfg, 'train', 'val')
    check_strategy(cfg)
    check_machine(cfg)
    _add_resume_hook(cfg)
    if cfg.get('compile'):
        notice_hooks()  # features are recorded in some epochs, and in others not
    try:
        with resumable(), locked_work_dir(cfg):
            again = not args.resume and not cfg.get('resume')
            again = again and holds_run(cfg.work_dir)
            runner = build_runner(cfg, 'train', 'val')
            runner.register_hook(BroadcastBuffersHook())
            runner.logger.info(run_summary(runner, args.cfg_options or {}))
            if args.resume and not cfg.resume:
                runner.logger.warning(
                    f'{cfg.work_dir} has no whole checkpoint to resume from; the run '
                    'starts anew'
                )
            if again:
                runner.logger.warning(
                    f'{cfg.work_dir} holds an earlier run, whose checkpoints this one '
                    'replaces; --work-dir names another folder, --resume goes on'
                )
            warn_if_alike(cfg)
            with named_images(runner, 'train', 'val'):
                check_indices(runner)
                runner.train()
            last = latest_whole_checkpoint(cfg.work_dir)
            if last:
                runner.logger.info(f'The last checkpoint is {last}')
    except (ValueError, RuntimeError) as error:
        if not cfg.get('resume') or not _is_for_other_parameters(error):
            raise
        raise UserInputError(
            'cannot resume: the optimizer of the checkpoint is for other '
            "parameters. Has the student, the teacher's width or the number "
            'of levels changed? To start a new run with its weights: '
            f'--cfg-options load_from=CHECKPOINT ({error})'
        ) from None


def set_amp_and_scaling(cfg: Config, args: argparse.Namespace) -> None:
    """Write the flags ``--amp`` and ``--auto-scale-lr`` into a config.

    Raises:
        UserInputError: ``--auto-scale-lr`` is given, and the config has no
            ``auto_scale_lr.base_batch_size``.
    """
    if args.amp:
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.loss_scale = 'dynamic'
    if args.auto_scale_lr:
        if 'base_batch_size' not in (cfg.get('auto_scale_lr') or {}):
            raise UserInputError(
                '--auto-scale-lr needs auto_scale_lr=dict(base_batch_size=...)'
                f' in {cfg.filename}: the batch size that its learning rate '
                'is meant for'
            )
        cfg.auto_scale_lr.enable = True


def _is_for_other_parameters(error: Exception) -> bool:
    """Whether an optimizer says that its state has other groups or shapes."""
    texts = ('parameter group', 'must match')
    frames = traceback.walk_tb(error.__traceback__)
    return any(text in str(error) for text in texts) and any(
        # a method's own mistake says 'must match', too
        str(frame.f_globals.get('__name__')).startswith('torch.optim.')
        for frame, _ in frames
    )


def _add_resume_hook(cfg: Config) -> None:
    """Add :class:`ResumeHook` unless the config has it."""
    hooks = list(cfg.get('custom_hooks') or [])
    names = [str(hook.get('type')) for hook in hooks if isinstance(hook, dict)]
    if not any('ResumeHook' in name for name in names):
        cfg.custom_hooks = [*hooks, dict(type='mmdet.ResumeHook')]


def add_test_time_augmentation(cfg: Config) -> None:
    """Use the config's test time augmentation, or flips that are merged by NMS."""
    cfg.setdefault(
        'tta_model',
        ConfigDict(
            type='DetTTAModel',
            tta_cfg=dict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=100),
        ),
    )
    if 'tta_pipeline' not in cfg:
        dataset = next(datasets(cfg.test_dataloader.dataset))
        if 'pipeline' not in dataset:
            raise UserInputError(
                f'--tta: the test data of {cfg.filename} have no pipeline, which test '
                'time augmentation varies'
            )
        pack = dict(
            type='PackDetInputs',
            meta_keys=(
                'img_id',
                'img_path',
                'ori_shape',
                'img_shape',
                'scale_factor',
                'flip',
                'flip_direction',
            ),
        )
        flips = [dict(type='RandomFlip', prob=prob) for prob in (1.0, 0.0)]
        cfg.tta_pipeline = [
            *dataset.pipeline[:-1],
            dict(type='TestTimeAug', transforms=[flips, [pack]]),
        ]
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    next(datasets(cfg.test_dataloader.dataset)).pipeline = cfg.tta_pipeline


def build_runner(cfg: Config, *splits: str, student: bool = False) -> Runner:
    """Build mmengine's Runner, or the one that the config names, with its data.

    Args:
        cfg (Config): Config of the run.
        splits (str): Splits that it will use: ``'train'``, ``'val'`` or ``'test'``.
        student (bool): Whether the runner's model is the student of the config's.
    """
    warnings = complete_palettes(cfg, *splits)
    build = RUNNERS.build if 'runner_type' in cfg else QuietRunner.from_cfg
    with quiet_coco():
        runner = build(cfg)
        for warning in warnings:
            runner.logger.warning(warning)
        check_classes(runner, *splits, student=student)
    return runner
