"""Look into a distilled detector: attention, features and predictions.

Writes two pictures per image, one of what the review does at every level, and one
of the predictions of teacher, student alone and distilled student; index.html
shows all of them.
"""

import argparse
import copy
import os.path as osp
from collections.abc import Sequence
from typing import Optional

import cv2
import torch
from mmcv import imread, imwrite
from mmcv.transforms import Compose
from mmdet.registry import DATASETS
from mmdet.utils import get_test_pipeline_cfg
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from mmengine.utils import scandir, track_iter_progress
from torchvision.datasets.folder import IMG_EXTENSIONS

from ..engine.check_data import check_data
from ..engine.check_settings import check_given, check_settings
from ..engine.launch import read_config
from ..engine.shown_models import load_models
from ..errors import UserInputError
from ..models.adapters import adapter_of
from ..visualization import (
    as_bitmap,
    check_new,
    disagreement,
    draw_comparison,
    draw_review,
    make_folder,
    review_maps,
    shown_image,
    write_page,
)
from .arguments import add_cfg_options, add_path

_FEW = 4
_SEARCHED = 40
"""Among so many validation images those are looked for that are worth a picture."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_path(parser, 'config', help='config of a distillation')
    add_path(parser, 'checkpoint', help='checkpoint of such a run')
    add_path(
        parser,
        'images',
        nargs='*',
        help=f'files or folders; by default {_FEW} out of {_SEARCHED} validation '
        'images, those on which the models differ most',
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
    check_given(cfg, 'test_dataloader')  # the images go through its pipeline
    models, meta = load_models(cfg, args.checkpoint, args.alone)
    images = find_images(cfg, args.images)
    pipeline = Compose(get_test_pipeline_cfg(cfg))
    if not args.images:
        images = most_telling(models, images, pipeline, args.score_thr)
    make_folder(out_dir)
    visualize(models, images, meta, pipeline, out_dir, args)


def find_images(cfg: Config, given: Sequence[str]) -> list[dict]:
    """Return what the test pipeline starts from, with annotations if there are any.

    Args:
        cfg (Config): Config with the validation data.
        given (Sequence[str]): Files or folders; if empty, some validation images.

    Raises:
        UserInputError: Files are no images; the message names all of them.
    """
    try:
        check_given(cfg, 'val_dataloader')
        check_settings(cfg, 'val')
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
        infos = evenly(infos, _SEARCHED)
    unreadable = [info['img_path'] for info in infos if not is_image(info['img_path'])]
    if unreadable:
        raise UserInputError('cannot be read as images: ' + ', '.join(unreadable))
    return infos


def evenly(infos: Sequence[dict], number: int) -> list[dict]:
    """Choose up to ``number``, evenly over the data, whose neighbours may be alike."""
    number = min(number, len(infos))
    return [infos[i * len(infos) // number] for i in range(number)]


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


def most_telling(
    models: dict[str, BaseModel],
    images: Sequence[dict],
    pipeline: Compose,
    threshold: float,
) -> list[dict]:
    """Choose the images on which the distilled student differs most from another model.

    Args:
        models (dict[str, BaseModel]): The models by the titles of their columns.
        images (Sequence[dict]): The images to choose from.
        pipeline (Compose): The pipeline of the test data.
        threshold (float): The least score of a box that counts.

    Returns:
        list[dict]: In the order of the data.
    """
    # the student alone, if it is there, shows what the teacher has changed
    *others, distilled = models.values()
    if len(images) <= _FEW or not others:
        return list(images[:_FEW])
    print(f'looking for the {_FEW} most telling of {len(images)} validation images')
    differences = []
    for info in track_iter_progress(images):
        item = pipeline(copy.deepcopy(info))
        found = [predict(model, item, threshold) for model in (others[-1], distilled)]
        differences.append(disagreement(*found))
    # of equal ones those that stand first
    order = sorted(range(len(images)), key=lambda i: -differences[i])
    return [images[i] for i in sorted(order[:_FEW])]


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
    highest = dict.fromkeys(models, 0.0)
    shown = dict.fromkeys(models, 0)
    with_masks = getattr(models['distilled student'], 'with_mask', False)
    for number, info in enumerate(track_iter_progress(images), 1):
        item = pipeline(copy.deepcopy(info))
        name = osp.basename(info['img_path'])
        pictures = [
            f'{number}_{osp.splitext(name)[0]}_{kind}.png'
            for kind in ('predictions', 'review')
        ]
        columns = {}
        if 'instances' in info:
            columns['ground truth'] = [ground_truth(info, with_masks)]
        for title, model in models.items():
            found = predict(model, item)
            highest[title] = max([highest[title], *found.scores.tolist()])
            columns[title] = [found[found.scores >= args.score_thr]]
            shown[title] += len(columns[title][0])
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
    for title, best in highest.items():
        if not shown[title]:
            print(
                f'\n{title}: no box has a score of at least {args.score_thr}, the '
                f'highest is {best:.2f}'
                + (f': --score-thr {best / 2:.2f}' if best > 0.01 else '')
            )
    print(f'\n{page}')


def ground_truth(info: dict, with_masks: bool) -> InstanceData:
    kept = [each for each in info['instances'] if not each['ignore_flag']]
    truth = InstanceData(
        bboxes=torch.tensor([each['bbox'] for each in kept]).reshape(-1, 4),
        labels=torch.tensor([each['bbox_label'] for each in kept]),
    )
    if with_masks and all('mask' in each for each in kept):
        size = info['height'], info['width']
        truth.masks = [as_bitmap(each['mask'], *size) for each in kept]
    return truth


@torch.no_grad()
def predict(
    model: BaseModel, item: dict, threshold: Optional[float] = None
) -> InstanceData:
    """What a model finds in an image, on the CPU."""
    # a copy: predictions are written into the samples
    batch = adapter_of(model).collate([copy.deepcopy(item)])
    found = model.test_step(batch)[0].pred_instances.cpu()
    return found if threshold is None else found[found.scores >= threshold]
