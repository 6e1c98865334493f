"""Evaluate the teacher of a distillation config through the student's pipeline."""

import argparse

from mmdet.registry import MODELS
from mmengine.device import get_device
from mmengine.registry import init_default_scope

from ..engine import check_teacher
from ..engine.check_data import check_data
from ..engine.check_settings import check_given, check_settings
from ..engine.launch import read_config
from ..models.configs import distiller_config, student_config
from ..models.weights import load_file, load_whole
from .arguments import add_cfg_options, add_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_path(parser, 'config', help='config of a distillation')
    parser.add_argument('--expected', type=float, help='known AP or accuracy, 0 to 1')
    add_path(parser, '--student-checkpoint', help='evaluated too, and compared')
    parser.add_argument('--num-images', type=int, help='only so many; all by default')
    add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    cfg = read_config(args.config, args)
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    distiller = distiller_config(cfg)
    check_given(cfg, 'val_dataloader', 'val_evaluator')
    check_settings(cfg, 'val')
    check_data(cfg, 'val')
    student = None
    if args.student_checkpoint:
        student = MODELS.build(student_config(cfg))
        load_whole(
            student.to(get_device()),
            load_file(args.student_checkpoint, 'student'),
            args.student_checkpoint,
        )
    check_teacher(
        distiller,
        cfg.val_dataloader,
        cfg.val_evaluator,
        student,
        args.expected,
        args.num_images,
    )
