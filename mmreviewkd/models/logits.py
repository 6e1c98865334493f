"""Reads the logits of two models for the same images, RoIs or anchors."""

from itertools import zip_longest
from typing import Any, Optional

import torch.nn as nn
from mmengine.logging import MessageHub
from mmengine.model import BaseModel

from ..errors import UserInputError
from .adapters import adapter_of
from .logit_rows import Batch, Calls, Rows
from .teacher import Teacher
from .weights import names_in


class LogitReader:
    """Read the logits of a student and its teacher for the same things in a batch.

    Args:
        student (BaseModel): The student.
        teacher (Teacher): The teacher, with its head.
        classes (int, optional): Number of the student's classes if it is a
            classifier.
        setting (str): Setting of the method that reads the logits, for messages.
        use_sigmoid (bool): Whether that method compares sigmoid probabilities.

    Raises:
        UserInputError: The two models have no logits for the same things, or the
            method needs logits of the other kind (sigmoid or softmax).
    """

    def __init__(
        self,
        student: BaseModel,
        teacher: Teacher,
        classes: Optional[int],
        setting: str,
        use_sigmoid: bool,
    ) -> None:
        kind, other = (
            adapter_of(model).logit_rows(model) for model in (student, teacher.model)
        )
        if kind is None or kind is not other:
            raise UserInputError(
                f'{setting} needs two classifiers, two detectors with one RoI '
                'head each, or two that classify anchors; the student is a '
                f'{type(student).__name__}, the teacher a '
                f'{type(teacher.model).__name__}'
            )
        self.rows_of = kind()
        ours, theirs = (
            number or self.rows_of.classes(model)
            for number, model in (
                (classes, student),
                (teacher.levels.classes, teacher.model),
            )
        )
        if ours != theirs:
            raise UserInputError(
                f'{setting} compares models of the same classes; the student has '
                f'{ours}, the teacher {theirs}'
            )
        self.rows_of.check(student, teacher.model, teacher.settings.scale)
        if use_sigmoid != self.rows_of.use_sigmoid:
            raise UserInputError(
                f'{setting} compares {_activation(use_sigmoid)} probabilities, the '
                f'models have {_activation(self.rows_of.use_sigmoid)} ones: '
                + self.rows_of.losses
            )
        self.names_checked = False

    def modules(self, student: BaseModel) -> list[nn.Module]:
        """Modules of the student whose calls in a training pass :meth:`rows` needs."""
        return self.rows_of.modules(student)

    def rows(
        self, calls: Calls, teacher: Teacher, outputs: Any, data_samples: Any
    ) -> Rows:
        """Return the student's logits, the teacher's logits, and the labels of a batch.

        Args:
            calls (Calls): Calls of :meth:`modules`, recorded by :func:`calls_of`.
            teacher (Teacher): The teacher.
            outputs (Tensor | list[Tensor]): The teacher's logits, or the features that
                its head takes.
            data_samples (Tensor | dict | list): Annotations of the images.

        Raises:
            UserInputError: The classes differ, or the two heads classify in different
                ways.
        """
        if not self.names_checked:
            _check_names(teacher)
            self.names_checked = True
        rows = self.rows_of.rows(
            Batch(calls, teacher.model, teacher.settings.scale, outputs, data_samples)
        )
        if rows[0].shape != rows[1].shape:
            raise UserInputError(
                'logits: for the same images, the student has logits of shape '
                f'{tuple(rows[0].shape)}, the teacher {tuple(rows[1].shape)}; '
                'their heads classify in different ways'
            )
        return rows


def _activation(sigmoid: bool) -> str:
    return 'sigmoid' if sigmoid else 'softmax'


def _check_names(teacher: Teacher) -> None:
    """Compare the class names in the teacher's checkpoint with those of the data.

    Equal numbers of classes do not mean that they are in the same order. Nothing is
    checked if one of the two does not have names.
    """
    data = MessageHub.get_current_instance().get_info('dataset_meta', None)
    ours, theirs = names_in(data), teacher.class_names
    if ours and theirs and ours != theirs:
        here, there = next(
            pair for pair in zip_longest(ours, theirs) if pair[0] != pair[1]
        )
        raise UserInputError(
            'logits compare models of the same classes in the same order; '
            f'where {teacher.settings.checkpoint} has {there}, these data have {here}'
        )
