"""Test a detector or classifier, with the flags of mmdet's tools/test.py."""

import argparse

from mmdet.engine.hooks.utils import trigger_visualization_hook
from mmdet.evaluation import DumpDetResults

from ..compat.type_name import type_name
from ..engine import StrictLoadHook
from ..engine.check_data import check_data, named_images
from ..engine.check_settings import check_settings
from ..engine.checks import check_machine
from ..engine.launch import add_test_time_augmentation, build_runner, read_config
from ..errors import UserInputError
from ..models.configs import student_config
from .arguments import CONFIG, add_path, add_run_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_path(parser, 'config', help=CONFIG)
    add_path(parser, 'checkpoint', help='checkpoint file')
    add_run_arguments(parser)
    add_path(parser, '--out', help='dump predictions to this .pkl file')
    parser.add_argument(
        '--show', action='store_true', help='show predictions in a window'
    )
    add_path(
        parser,
        '--show-dir',
        help='save images with predictions to WORK_DIR/TIMESTAMP/SHOW_DIR',
    )
    parser.add_argument(
        '--wait-time', type=float, default=2, help='seconds per shown image'
    )
    parser.add_argument('--tta', action='store_true', help='test time augmentation')


def run(args: argparse.Namespace) -> None:
    if args.out and not args.out.endswith(('.pkl', '.pickle')):
        raise UserInputError(f'--out {args.out}: must end in .pkl')
    cfg = read_config(args.config, args)
    cfg.load_from = args.checkpoint
    distilled = type_name(cfg.model) == 'ReviewKD'
    # only the student is tested, so the teacher's file need not exist
    cfg.model = student_config(cfg)
    check_settings(cfg, 'test')
    check_data(cfg, 'test')
    if args.show or args.show_dir:
        if not (cfg.get('default_hooks') or {}).get('visualization'):
            raise UserInputError(
                f'{"--show" if args.show else "--show-dir"}: {cfg.filename} has no '
                'default_hooks.visualization, which draws predictions, such as '
                "dict(type='DetVisualizationHook') of detectors"
            )
        cfg = trigger_visualization_hook(cfg, args)
    check_machine(cfg)
    if args.tta:
        add_test_time_augmentation(cfg)
    runner = build_runner(cfg, 'test', student=distilled)
    runner.register_hook(StrictLoadHook())
    if args.out:
        runner.test_evaluator.metrics.append(DumpDetResults(out_file_path=args.out))
    with named_images(runner, 'test'):
        runner.test()
