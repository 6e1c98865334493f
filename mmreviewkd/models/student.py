"""The student: a model of its own class, which learns from a teacher as well."""

from __future__ import annotations

import functools
from typing import Any, Callable, SupportsIndex

from mmengine.model import BaseModel

from ..errors import UserInputError
from .distillation import Distillation


class Distilled(BaseModel):
    """What a student has in common with no other model of its class.

    A distilled Faster R-CNN *is* a Faster R-CNN: its class is derived, by
    :func:`distilled`, from this one and from ``FasterRCNN``, and it has one
    attribute more, ``distillation``, and as children the modules that are trained
    for its sake, as ``review``. So whatever is asked of it by name or by class (hooks,
    ``paramwise_cfg``, activation checkpointing, ``load_state_dict``) is answered by
    the student's own code, and each checkpoint of it loads into the plain student.

    Attributes:
        distillation (Distillation): Who teaches it, and what. It is no module, so
            that the teacher is in no state dict, optimizer, EMA or DDP bucket.
    """

    distillation: Distillation

    def forward(
        self, inputs: Any, data_samples: Any = None, mode: str = 'tensor'
    ) -> Any:
        """The student's own, which in mode ``'loss'`` also learns from the teacher.

        Args:
            inputs (Tensor): (N, 3, H, W).
            data_samples (list[DetDataSample] | Tensor, optional): One per
                image, or the labels of images, (N, ).
            mode (str): ``'loss'``, ``'predict'`` or ``'tensor'``.
        """
        forward = super().forward
        if mode != 'loss':
            return forward(inputs, data_samples, mode)
        return self.distillation.losses(self, forward, inputs, data_samples)

    def init_weights(self) -> None:
        """Initialise the student; it may inherit parts of the teacher."""
        super().init_weights()
        self.distillation.bequeath(self)

    def _apply(self, fn: Callable, *args: Any, **kwargs: Any) -> Distilled:
        # what .to(), .cuda(), .half() and the like come down to
        self.distillation.teacher._apply(fn, *args, **kwargs)  # noqa: SLF001
        return super()._apply(fn, *args, **kwargs)

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple:
        # A pickle names classes by their module, where this one is not to be found.
        _, _, *state = super().__reduce_ex__(protocol)
        return (_empty, (type(self).__bases__[1],), *state)


def distilled(student: BaseModel, distillation: Distillation) -> Distilled:
    """Let a model learn from a teacher; it is changed in place.

    Its class becomes one that is derived from it, as torch's ``fully_shard`` and
    ``parametrize`` do it.

    Args:
        student (BaseModel): The model.
        distillation (Distillation): What it will learn.

    Raises:
        UserInputError: Its ``forward`` is not that of its class.
    """
    if 'forward' in vars(student):
        raise UserInputError(
            f'this {type(student).__name__} has a forward of its own beside that of '
            'its class, which a distilled student would replace'
        )
    plain: type = type(student)
    student.__class__ = _class_of(plain)
    student.distillation = distillation
    return student


@functools.cache
def _class_of(plain: type) -> Any:
    # in messages and logs it goes by the student's own name
    return type(plain.__name__, (Distilled, plain), {})


def _empty(plain: type) -> Any:
    """An instance that is filled by whoever copies or unpickles it."""
    derived = _class_of(plain)
    return derived.__new__(derived)
