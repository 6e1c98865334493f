"""Two models' logits for the same images, RoIs or anchors."""

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
    """Reads, in a batch, the logits of a student and its teacher for the same things.

    Args:
        student (BaseModel): The student.
        teacher (Teacher): With its head.
        classes (int, optional): The student's, if it is a classifier.
        setting (str): Of the method that asks for them; for messages.
        use_sigmoid (bool): Whether that method compares sigmoids.

    Raises:
        UserInputError: The pair has no logits for the same things, or the method
            is for another kind of them.
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
        self.kind = kind()
        ours, theirs = (
            number or self.kind.classes(model)
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
        self.kind.check(student, teacher.model, teacher.settings.scale)
        if use_sigmoid != self.kind.use_sigmoid:
            raise UserInputError(
                f'{setting} compares {_activation(use_sigmoid)} probabilities, the '
                f'models have {_activation(self.kind.use_sigmoid)} ones: '
                + self.kind.losses
            )
        self.names_checked = False

    def modules(self, student: BaseModel) -> list[nn.Module]:
        """Those whose calls in a training pass :meth:`rows` needs."""
        return self.kind.modules(student)

    def rows(
        self, calls: Calls, teacher: Teacher, outputs: Any, data_samples: Any
    ) -> Rows:
        """The student's logits, the teacher's, and labels, of one batch.

        Args:
            calls (Calls): Of :meth:`modules`, see :func:`calls_of`.
            teacher (Teacher): The teacher.
            outputs (Tensor | list[Tensor]): Its logits, or what its head takes.
            data_samples (Tensor | dict | list): What is known of the images.

        Raises:
            UserInputError: The classes are others, or the heads classify in
                different ways.
        """
        if not self.names_checked:
            _check_names(teacher)
            self.names_checked = True
        rows = self.kind.rows(
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
            f'where {teacher.settings.checkpoint} has {there}, these data have {here}'
        )
