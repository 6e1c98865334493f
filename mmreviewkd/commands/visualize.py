"""Look into a distilled detector: attention, features and predictions.

Writes two pictures per image, one of what the review does at every level, and one
of the predictions of teacher, student alone and distilled student; index.html
shows all of them.
"""

import argparse
import copy
import os.path as osp
from collections.abc import Sequence
from textwrap import shorten
from typing import Optional

import cv2
import torch
from mmcv import imread, imwrite
from mmcv.transforms import Compose
from mmdet.registry import DATASETS, MODELS
from mmdet.utils import get_test_pipeline_cfg
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope
from mmengine.runner import CheckpointLoader
from mmengine.structures import InstanceData
from mmengine.utils import scandir, track_iter_progress
from torchvision.datasets.folder import IMG_EXTENSIONS

from ..engine.check_data import check_data
from ..engine.launch import read_config
from ..engine.teacher_check import ShownTeacher
from ..errors import UserInputError
from ..models import Distilled, Teacher
from ..models.adapters import adapter_of
from ..models.configs import distiller_config, student_config
from ..models.weights import methods_in
from ..visualization import (
    check_new,
    draw_comparison,
    draw_review,
    make_folder,
    review_maps,
    shown_image,
    write_page,
)
from .arguments import add_cfg_options, add_path

_FEW = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_path(parser, 'config', help='config of a distillation')
    add_path(parser, 'checkpoint', help='checkpoint of such a run')
    add_path(
        parser,
        'images',
        nargs='*',
        help='files or folders; by default the first '
        f"{_FEW} of the config's validation images",
    )
    add_path(
        parser,
        '--alone',
        metavar='CHECKPOINT',
        help='of the student trained without teacher: its predictions, too',
    )
    add_path(
        parser, '--out-dir', help='new folder; default: work_dirs/CONFIG_visualized'
    )
    parser.add_argument(
        '--score-thr',
        type=float,
        default=0.3,
        help='draw boxes with at least this score',
    )
    add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    cfg = read_config(args.config, args)
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    out_dir = args.out_dir or osp.join(
        'work_dirs', osp.splitext(osp.basename(args.config))[0] + '_visualized'
    )
    check_new(out_dir)
    models, meta = load_models(cfg, args)
    images = find_images(cfg, args.images)
    make_folder(out_dir)
    visualize(models, images, meta, Compose(get_test_pipeline_cfg(cfg)), out_dir, args)


def load_models(cfg: Config, args: argparse.Namespace) -> tuple:
    """Build and load the models, by column title; also return the student's classes."""
    distilled = MODELS.build(distiller_config(cfg))
    if not hasattr(distilled, 'review'):
        raise UserInputError(f'{args.config} has no review, which is what is drawn')
    adapter = adapter_of(distilled)
    if not adapter.has_boxes:
        raise UserInputError(
            f'{args.config} distils a {adapter.kind}, which has no boxes to draw; '
            "custom_hooks=[dict(type='ReviewVisualizationHook')] draws its "
            'review during training'
        )
    meta = load(distilled, args.checkpoint, args.config, distilled=True)
    models = dict(teacher=load_teacher(distilled, meta))
    if args.alone:
        models['student alone'] = MODELS.build(student_config(cfg))
        load(models['student alone'], args.alone, args.config, distilled=False)
    models['distilled student'] = distilled
    return {
        title: model.to(get_device()).eval()
        for title, model in models.items()
        if model is not None
    }, meta


def load(model: BaseModel, filename: str, config: str, distilled: bool) -> dict:
    """Load a run's checkpoint into a model.

    Returns:
        dict: The dataset's metainfo in the checkpoint: ``classes``, ``palette``.

    Raises:
        UserInputError: The file is no checkpoint, is of the other kind of run, or
            does not fit.
    """
    try:
        checkpoint = CheckpointLoader.load_checkpoint(filename, 'cpu')
    except FileNotFoundError as error:
        raise UserInputError(str(error)) from None
    meta = (checkpoint.get('meta') or {}).get('dataset_meta')
    if not meta or 'state_dict' not in checkpoint:
        raise UserInputError(
            f'{filename} is no checkpoint of a training run: '
            'it lacks weights or class names'
        )
    weights = checkpoint['state_dict']
    if distilled != bool(methods_in(weights)):
        raise UserInputError(
            f'{filename} has no review.* weights: it is of no distilled run, '
            'or was exported from one'
            if distilled
            else f'{filename} has review.* weights: it is of a distilled run, not '
            'of the student alone'
        )
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        first, *more = str(error).splitlines()[1:]
        raise UserInputError(
            f'{filename} does not fit {config}: {shorten(first, 200)}'
            + (f' (and {len(more)} more)' if more else '')
        ) from None
    return meta


def load_teacher(distilled: Distilled, meta: dict) -> Optional[BaseModel]:
    """Build the teacher with its heads, or None if it has other classes."""
    blind = distilled.distillation.teacher
    model = ShownTeacher(
        Teacher(blind.settings, blind.source, part=blind.part, heads='all')
    )
    known = blind.class_names
    if known and known != tuple(meta['classes']):
        print('no predictions of the teacher: it knows other classes')
        return None
    number = max(getattr(part, 'num_classes', 0) for part in model.modules())
    if number != len(meta['classes']):
        print(f'no predictions of the teacher: it has {number} classes')
        return None
    return model


def find_images(cfg: Config, given: Sequence[str]) -> list[dict]:
    """Return what the test pipeline starts from, with annotations if there are any.

    Args:
        cfg (Config): Config with the validation data.
        given (Sequence[str]): Files or folders; if empty, some validation images.

    Raises:
        UserInputError: Files are no images; the message names all of them.
    """
    try:
        check_data(cfg, 'val')
        dataset = DATASETS.build(cfg.val_dataloader.dataset)
        infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    except UserInputError:
        if not given:
            raise
        infos = []  # images without ground truth
    if given:
        known = {osp.abspath(info['img_path']): info for info in infos}
        infos = [
            known.get(osp.abspath(path), dict(img_path=path, img_id=0))
            for path in expand(given)
        ]
    else:
        infos = infos[:_FEW]
    unreadable = [info['img_path'] for info in infos if not is_image(info['img_path'])]
    if unreadable:
        raise UserInputError('cannot be read as images: ' + ', '.join(unreadable))
    return infos


def expand(given: Sequence[str]) -> list[str]:
    """Return the files in the given order, and all images of the given folders."""
    paths = []
    for path in given:
        found = [path]
        if osp.isdir(path):
            found = [
                osp.join(path, name)
                for name in sorted(scandir(path, IMG_EXTENSIONS, case_sensitive=False))
            ]
        if not found:
            raise UserInputError(f'there is no image in folder {path}')
        paths += found
    return paths


def is_image(path: str) -> bool:
    try:
        return imread(path) is not None
    except (OSError, cv2.error):
        return False


def visualize(
    models: dict[str, BaseModel],
    images: Sequence[dict],
    meta: dict,
    pipeline: Compose,
    out_dir: str,
    args: argparse.Namespace,
) -> None:
    """Write two pictures for each image, and the page."""
    sections = {}
    for number, info in enumerate(track_iter_progress(images), 1):
        item = pipeline(copy.deepcopy(info))
        name = osp.basename(info['img_path'])
        pictures = [
            f'{number}_{osp.splitext(name)[0]}_{kind}.png'
            for kind in ('predictions', 'review')
        ]
        columns = {}
        if 'instances' in info:
            columns['ground truth'] = [ground_truth(info['instances'])]
        for title, model in models.items():
            columns[title] = [predict(model, item, args.score_thr)]
        draw_comparison(
            [imread(info['img_path'], channel_order='rgb')],
            columns,
            meta,
            osp.join(out_dir, pictures[0]),
        )
        distilled = models['distilled student']
        picture = draw_review(
            shown_image(distilled, item), review_maps(distilled, item)
        )
        imwrite(picture[..., ::-1], osp.join(out_dir, pictures[1]))
        sections[f'{number}. {name}'] = pictures
    page = osp.join(out_dir, 'index.html')
    facts = dict(
        config=args.config,
        checkpoint=args.checkpoint,
        **{'student alone': args.alone} if args.alone else {},
        **{'boxes with a score of at least': str(args.score_thr)},
    )
    write_page(page, 'Review of a distilled detector', facts, sections)
    print(f'\n{page}')


def ground_truth(instances: Sequence[dict]) -> InstanceData:
    kept = [each for each in instances if not each['ignore_flag']]
    return InstanceData(
        bboxes=torch.tensor([each['bbox'] for each in kept]).reshape(-1, 4),
        labels=torch.tensor([each['bbox_label'] for each in kept]),
    )


@torch.no_grad()
def predict(model: BaseModel, item: dict, threshold: float) -> InstanceData:
    # a copy, since predictions are written into the samples
    batch = pseudo_collate([copy.deepcopy(item)])
    found = model.test_step(batch)[0].pred_instances
    return found[found.scores >= threshold]
