"""Distil one mmdet detector into another, without writing a config.

The student learns by Review-KD, or by what --method names, with the settings that
were published for one- or two-stage detectors (docs/methods.md has the table).

The merged config is written to the work dir; "mmreviewkd train", and mmdet's
tools/train.py, train from it again. --cfg-options are applied to the student's config
and --set to the merged one, whose model is ReviewKD(student, teacher, review, ...):

  --cfg-options train_dataloader.batch_size=4 model.backbone.depth=18
  --set model.logits.type=DKDLoss model.logits.beta=0.25 model.logits.temperature=1
  --method fgd --set model.methods.fgd.temperature=0.8
"""

import argparse
import inspect
import os
import os.path as osp
from typing import Union

from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner

from ..engine.cfg_options import CfgOptionsAction, merge_options
from ..engine.check_data import check_data
from ..engine.check_pair import check_pair
from ..engine.check_settings import check_settings
from ..engine.checks import check_machine
from ..engine.launch import read_config, set_amp_and_scaling, train
from ..engine.work_dir import holds_run, locked_work_dir
from ..errors import SettingError, UserInputError, near
from ..methods.published import FOR_CLASSIFIERS, PUBLISHED
from ..models.configs import plain_model
from .arguments import CONFIG, add_path, add_train_arguments

# what mmengine's Runner reads of a config
_SETTINGS = {
    *(name for name in inspect.signature(Runner).parameters if name != 'cfg'),
    *('custom_imports', 'work_dir'),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_path(parser, 'student', help=f"the student's config: {CONFIG}")
    add_path(parser, '--teacher', required=True, help="the teacher's config, likewise")
    add_path(
        parser,
        '--teacher-checkpoint',
        required=True,
        help="file or URL of the teacher's weights",
    )
    parser.add_argument(
        '--teacher-weights',
        metavar='ENTRY',
        help='entry of that file which holds them, such as ema_state_dict; '
        'state_dict or model by default',
    )
    parser.add_argument(
        '--method',
        nargs='+',
        default=['review'],
        metavar='NAME',
        help=f'how the student learns: {", ".join(PUBLISHED)}; review by default',
    )
    parser.add_argument(
        '--weight',
        type=weight,
        help='weight of the method, if it is one; the published weight by default, '
        'for the review that of Faster R-CNN and RetinaNet R101-R50, 1.0; "auto", for '
        'the review, sets it from gradients',
    )
    parser.add_argument(
        '--strides',
        type=int,
        nargs='+',
        help='levels that take part, by stride; all by default',
    )
    parser.add_argument(
        '--part',
        '--features',
        choices=['neck', 'backbone'],
        default='neck',
        help="what is compared: the necks' levels or the backbones' stages",
    )
    parser.add_argument(
        '--scale',
        type=float,
        default=1.0,
        help="side of the teacher's images as a multiple of the student's; "
        "levels then count in the student's pixels",
    )
    parser.add_argument(
        '--warmup',
        type=epochs,
        metavar='EPOCHS',
        help='epochs in which the weights of the review and of other methods grow '
        'from 0',
    )
    parser.add_argument(
        '--inherit',
        nargs='+',
        metavar='PART',
        help='parts of the teacher that the student starts with, where shapes agree, '
        'such as neck roi_head',
    )
    parser.add_argument(
        '--set',
        nargs='+',
        action=CfgOptionsAction,
        metavar='KEY=VALUE',
        help='settings of the merged config, such as model.logits.type=DKDLoss',
    )
    parser.add_argument(
        '--dry-run',
        action='store_true',
        help='check data and models, write the merged config, and do not train',
    )
    add_train_arguments(parser)


def run(args: argparse.Namespace) -> None:
    check_methods(args)
    names = ['review-kd' if each == 'review' else each for each in args.method]
    names += [
        osp.splitext(osp.basename(config))[0] for config in (args.teacher, args.student)
    ]
    name = '_'.join(names)
    if args.work_dir is None:
        args.work_dir = osp.join('work_dirs', name)
    cfg = distill(read_config(args.student, args), args)
    refuse_second_run(cfg, args)
    check_settings(cfg, 'train', 'val')
    set_amp_and_scaling(cfg, args)
    check_data(cfg, 'train', 'val')
    try:
        check_pair(cfg)
    except SettingError as error:
        raise UserInputError(name_flag(error, args)) from None
    check_machine(cfg)
    path = osp.join(cfg.work_dir, f'{name}.py')
    with locked_work_dir(cfg):
        refuse_second_run(cfg, args)  # another run may have ended meanwhile
        # every process of a launcher writes the file, so it is replaced whole
        part = f'{path}.{os.getpid()}.py'
        cfg.dump(part)
        os.replace(part, path)
        print(f'merged config: {path}')
        # read back, so that run and logs go by the merged one's name
        if not args.dry_run:
            train(Config.fromfile(path), args)


def refuse_second_run(cfg: Config, args: argparse.Namespace) -> None:
    if args.resume is None and holds_run(cfg.work_dir):
        raise UserInputError(
            f'{cfg.work_dir} holds a run already; go on with it by --resume, '
            'or give the new run another --work-dir'
        )


def name_flag(error: SettingError, args: argparse.Namespace) -> str:
    """Return an error's message, with the flag in place of the setting if it has one.

    A setting that ``--set`` has changed is named as it is, since ``--set`` comes last.
    """
    flag = dict(weights='teacher_weights').get(error.name, error.name)
    changed = {path.rpartition('.')[2] for path in args.set or ()}
    if not hasattr(args, flag) or error.name in changed:
        return str(error)
    many = isinstance(error.value, (list, tuple))
    values = error.value if many else [error.value]
    words = [f'--{flag.replace("_", "-")}', *values]
    return error.message.replace('{}', ' '.join(map(str, words)))


def check_methods(args: argparse.Namespace) -> None:
    """Refuse methods that are not for detectors, and one weight for several.

    Raises:
        UserInputError: The message names the flag.
    """
    args.method = list(dict.fromkeys(args.method))
    for name in args.method:
        if name.lower() in FOR_CLASSIFIERS:
            raise UserInputError(
                f'--method {name}: is a method for classifiers, and distill is for '
                'detectors; its configs are in configs/cifar100: mmreviewkd train '
                f'mmreviewkd::cifar100/{name.lower()}_resnet56_resnet20.py'
            )
        if name not in PUBLISHED:
            raise UserInputError(
                f'--method {name}: is no method'
                + (
                    near(name, PUBLISHED)
                    or near(name, FOR_CLASSIFIERS)
                    or f'; there are {", ".join(PUBLISHED)}'
                )
            )
    if args.weight is not None and len(args.method) > 1:
        raise UserInputError(
            f'--weight {args.weight}: is the weight of one method, and --method names '
            f'{len(args.method)}; use --set, as in model.methods.pkd.weight=6.0'
        )


def epochs(text: str) -> int:
    """Read the value of ``--warmup``.

    Raises:
        ArgumentTypeError: The text is no whole number from 0 on.
    """
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f'{text}: must be a whole number >= 0')
    return int(text)


def weight(text: str) -> Union[float, str]:
    """Read the value of ``--weight``.

    Raises:
        ArgumentTypeError: The text is neither a number nor ``auto``.
    """
    try:
        return text if text == 'auto' else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f'{text}: must be a number or auto{near(text, ["auto"])}'
        ) from None


def add_methods(cfg: Config, args: argparse.Namespace) -> None:
    """Give the ReviewKD model its methods, with published settings."""
    two_stage = cfg.model.student.get('roi_head') is not None
    optimizer, methods = cfg.get('optim_wrapper'), {}
    for name in args.method:
        published = PUBLISHED[name]
        settings = dict(published.two_stage if two_stage else published.one_stage)
        if args.weight is not None:
            settings['weight'] = args.weight
        if name == 'review':
            cfg.model.review = dict(weight=settings['weight'])
        else:
            methods[name.replace('-', '_')] = settings
        if published.clip_grad and isinstance(optimizer, dict):
            # gradients that the student's own config clips stay clipped as there
            own = optimizer.get('clip_grad')
            optimizer['clip_grad'] = own or dict(max_norm=published.clip_grad)
    if methods:
        cfg.model.methods = methods


def distill(cfg: Config, args: argparse.Namespace) -> Config:
    """Turn the config's model into the student of a ReviewKD."""

    def absolute(path: str) -> str:
        # absolute, since the merged config may be used from another folder
        return osp.abspath(path) if osp.exists(path) else path

    teacher = dict(
        config=absolute(args.teacher), checkpoint=absolute(args.teacher_checkpoint)
    )
    if args.teacher_weights:
        teacher['weights'] = args.teacher_weights
    if args.scale != 1:
        teacher['scale'] = args.scale
    cfg.model = ConfigDict(
        type='ReviewKD',
        student=plain_model(cfg.model),
        teacher=teacher,
    )
    add_methods(cfg, args)
    if args.strides:
        cfg.model.strides = args.strides
    if args.part != 'neck':
        cfg.model.part = args.part
    if args.inherit:
        cfg.model.inherit = args.inherit
    if args.warmup:
        hook = dict(type='ReviewWeightHook', warmup=args.warmup)
        cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), hook]
    imports = cfg.get('custom_imports') or dict(imports=[])
    names = imports['imports']
    imports['imports'] = ([names] if isinstance(names, str) else list(names)) + [
        'mmreviewkd'
    ]
    cfg.custom_imports = imports
    if args.set:
        merge_options(cfg, args.set, '--set', known=_SETTINGS)
    return cfg
