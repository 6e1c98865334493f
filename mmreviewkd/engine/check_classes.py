"""Compares the classes of the datasets with each other and with the model's heads."""

from collections.abc import Sized
from typing import Optional, Union

import torch.nn as nn
from mmdet.evaluation import CocoMetric
from mmengine.evaluator import Evaluator
from mmengine.model import BaseModel
from mmengine.runner import BaseLoop, Runner

from ..compat.coco import annotations_of
from ..compat.unwrap import unwrap
from ..errors import UserInputError, few
from ..models import Distilled
from ..models.adapters import adapter_of
from ..models.weights import names_in
from .check_categories import check_categories
from .check_data import datasets


def check_classes(runner: Runner, *splits: str, student: bool = False) -> None:
    """Build the data of a run, and check its classes against the model's.

    The classes of the splits are compared with each other, too. The runner builds its
    data here once, instead of at the start of the run.

    Args:
        runner (Runner): Runner that is about to train or test.
        splits (str): Splits that it will use: ``'train'``, ``'val'`` or ``'test'``.
        student (bool): Whether the runner's model is the student of the config's.

    Raises:
        UserInputError: A dataset cannot be built, is empty, or has other
            classes than another split, an evaluator's file or a head of the
            model.
    """
    names: dict[str, tuple] = {}
    numbers: dict[str, int] = {}
    for split in splits:
        loop = _build(runner, split)
        if loop is None:
            continue
        dataset = loop.dataloader.dataset
        if not len(dataset):
            raise UserInputError(f'{split}_dataloader: the dataset is empty')
        meta = getattr(dataset, 'metainfo', None)
        classes = names_in(meta)
        if classes is None or _is_open_vocabulary(runner, split):
            continue
        if split == 'train':
            _check_boxes(dataset, classes)
        else:
            _check_evaluator(loop.evaluator, split, classes)
        # only panoptic datasets have these
        things = isinstance(meta, dict) and meta.get('thing_classes')
        names[split], numbers[split] = classes, len(things or classes)
    if len(set(names.values())) > 1:
        raise UserInputError(
            ', '.join(
                f'{split}_dataloader has the classes ({few(classes)})'
                for split, classes in names.items()
            )
            + f'; {_first_difference(*names.values())}. What is learned is '
            'measured by the same classes in the same order: write one '
            'metainfo for all'
        )
    for split, classes in names.items():
        _check_model(
            runner.model, f'{split}_dataloader', classes, numbers[split], student
        )


def _build(runner: Runner, split: str) -> Optional[BaseLoop]:
    try:
        return getattr(runner, f'{split}_loop')
    except UserInputError as error:
        raise type(error)(f'{split} data: {error}') from error


def _check_boxes(dataset: Sized, classes: tuple) -> None:
    """Refuse data without boxes: a detector cannot learn from background alone."""
    if not hasattr(dataset, 'get_data_info'):
        return
    for index in range(len(dataset)):
        # this rarely looks further than the first image
        if dataset.get_data_info(index).get('instances', True):
            return
    raise UserInputError(
        f'train_dataloader: none of the {len(dataset)} images has a box of '
        f'the classes ({few(classes)}); see the annotations of '
        f'{getattr(dataset, "ann_file", "its datasets")}'
    )


def _is_open_vocabulary(runner: Runner, split: str) -> bool:
    """Whether the model is given the class names as text."""
    return any(
        dataset.get('return_classes')
        for dataset in datasets(runner.cfg[f'{split}_dataloader'].dataset)
    )


def _check_evaluator(evaluator: Evaluator, split: str, classes: tuple) -> None:
    for metric in evaluator.metrics:
        coco = annotations_of(metric)
        if isinstance(metric, CocoMetric) and coco is not None:
            name = f'{split}_evaluator.ann_file {coco.annotation_file}'
            check_categories(name, coco, classes)


def _first_difference(one: tuple, other: tuple) -> str:
    if len(one) != len(other):
        return f'these are {len(one)} and {len(other)}'
    label = next(i for i, pair in enumerate(zip(one, other)) if pair[0] != pair[1])
    return f'label {label} is {one[label]} and {other[label]}'


def _check_model(
    model: Union[BaseModel, dict],
    data: str,
    classes: tuple,
    things: int,
    student: bool,
) -> None:
    if not isinstance(model, nn.Module):
        return  # FlexibleRunner builds the model later
    model = unwrap(model)
    setting = 'model.'
    if student or isinstance(model, Distilled):
        setting += 'student.'
    wrong = {
        f'{setting}{name}.num_classes': number
        for name, number in adapter_of(model).class_settings(model)
        if number not in (len(classes), things)
    }
    if wrong:
        raise UserInputError(
            f'{data} has {things} classes ({few(classes)}), but '
            + few([f'{name}={number}' for name, number in wrong.items()])
            + f'; set {few(list(wrong))} to {things}'
        )
