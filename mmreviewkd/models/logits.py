"""A loss between two models' logits for the same images, RoIs or anchors."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import zip_longest
from typing import Any, Optional

import torch
import torch.nn as nn
from mmdet.registry import MODELS
from mmengine.logging import MessageHub
from mmengine.model import BaseModel
from torch import Tensor

from ..errors import UserInputError
from .logit_rows import Calls, kind_of
from .teacher import Teacher
from .weights import names_in


@contextmanager
def calls_of(modules: Sequence[nn.Module]) -> Iterator[Calls]:
    """Collect, for each module, the ``(args, output)`` of its calls.

    But for those made aside, without gradient: samplers such as OHEM ask a
    head before they choose what it is trained on.
    """
    calls: Calls = [[] for _ in modules]
    with_grad = torch.is_grad_enabled()

    def keep(to: list[tuple], _: nn.Module, args: tuple, output: Any) -> None:
        if torch.is_grad_enabled() == with_grad:
            to.append((args, output))

    handles = [
        module.register_forward_hook(partial(keep, to))
        for module, to in zip(modules, calls)
    ]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


class Logits:
    """A loss between logits, and where a pair of models has them.

    Args:
        loss (dict): Its config, such as ``dict(type='DKDLoss')``.
        student (BaseModel): The student.
        teacher (Teacher): With its head.
        classes (int, optional): The student's, if it is a classifier.

    Raises:
        UserInputError: The pair has no logits for the same things, or the loss
            is for another kind of them.
    """

    def __init__(
        self, loss: dict, student: BaseModel, teacher: Teacher, classes: Optional[int]
    ) -> None:
        self.loss = MODELS.build(loss)
        kind, other = kind_of(student), kind_of(teacher.model)
        name = f'logits=dict(type={loss["type"]!r})'
        if kind is None or kind is not other:
            raise UserInputError(
                f'{name} needs two classifiers, two detectors with one RoI '
                'head each, or two that classify anchors; the student is a '
                f'{type(student).__name__}, the teacher a '
                f'{type(teacher.model).__name__}'
            )
        self.kind = kind()
        ours, theirs = (
            number or self.kind.classes(model)
            for number, model in ((classes, student), (teacher.classes, teacher.model))
        )
        if ours != theirs:
            raise UserInputError(
                f'{name} compares models of the same classes; the student has '
                f'{ours}, the teacher {theirs}'
            )
        self.kind.check(student, teacher)
        sigmoid = getattr(self.loss, 'use_sigmoid', False)
        if sigmoid != self.kind.use_sigmoid:
            raise UserInputError(
                f'{name} compares {_activation(sigmoid)} probabilities, the '
                f'models have {_activation(self.kind.use_sigmoid)} ones: '
                + self.kind.losses
            )
        self.names_checked = False

    def modules(self, student: BaseModel) -> list[nn.Module]:
        """Those whose calls in a training pass :meth:`__call__` needs."""
        return self.kind.modules(student)

    def __call__(
        self, calls: Calls, teacher: Teacher, outputs: Any, data_samples: Any
    ) -> Tensor:
        """The loss.

        Args:
            calls (Calls): See :func:`calls_of`.
            teacher (Teacher): It.
            outputs (Tensor | list[Tensor]): Its logits, or what its head
                takes.
            data_samples (Tensor | list): The batch's labels.
        """
        if not self.names_checked:
            _check_names(teacher)
            self.names_checked = True
        rows = self.kind.rows(calls, teacher, outputs, data_samples)
        if rows[0].shape != rows[1].shape:
            raise UserInputError(
                'logits: for the same images, the student has logits of shape '
                f'{tuple(rows[0].shape)}, the teacher {tuple(rows[1].shape)}; '
                'their heads classify in different ways'
            )
        # a batch may have no positive anchor
        return self.loss(*rows) if len(rows[0]) else rows[0].sum()


def _activation(sigmoid: bool) -> str:
    return 'sigmoid' if sigmoid else 'softmax'


def _check_names(teacher: Teacher) -> None:
    """Names of the classes, where checkpoint and running training know them.

    The number alone does not tell whether they are in the same order.
    """
    data = MessageHub.get_current_instance().get_info('dataset_meta', None)
    ours, theirs = names_in(data), teacher.class_names
    if ours and theirs and ours != theirs:
        here, there = next(
            pair for pair in zip_longest(ours, theirs) if pair[0] != pair[1]
        )
        raise UserInputError(
            'logits compare models of the same classes in the same order; '
            f'where {teacher.checkpoint} has {there}, these data have {here}'
        )
