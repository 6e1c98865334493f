"""The student: a model of its own class that also learns from a teacher."""

from __future__ import annotations

import functools
from typing import Any, Callable, SupportsIndex

from mmengine.model import BaseModel

from ..errors import UserInputError
from .distillation import Distillation


class Distilled(BaseModel):
    """Base class of distilled students, which adds learning from a teacher.

    A distilled Faster R-CNN *is* a Faster R-CNN: :func:`distilled` derives its class
    from this one and from ``FasterRCNN``. It has one additional attribute,
    ``distillation``, and the methods as additional child modules, such as ``review``.
    So whatever depends on its class or names (hooks, ``paramwise_cfg``, activation
    checkpointing, ``load_state_dict``) works as for the student alone, and each of its
    checkpoints loads into the student alone.

    Attributes:
        distillation (Distillation): Teacher, matched levels and methods. It is no
            module, so that no state dict, optimizer, EMA or DDP bucket contains the
            teacher.

    Examples:
        >>> model = dict(
        ...     type='ImageClassifier',
        ...     backbone=dict(type='CifarResNet', depth=8),
        ...     data_preprocessor=dict(type='CropFlipPreprocessor'),
        ... )
        >>> torch.save(MODELS.build(model).state_dict(), 'teacher.pth')
        >>> teacher = dict(config=model, checkpoint='teacher.pth')
        >>> config = dict(student=model, teacher=teacher, review=dict(weight=1.0))
        >>> student = MODELS.build(dict(type='ReviewKD', **config))
        >>> isinstance(student, Distilled), type(student).__name__
        (True, 'ImageClassifier')
        >>> [name for name, _ in student.named_children()]
        ['data_preprocessor', 'backbone', 'review']
    """

    distillation: Distillation

    def forward(
        self,
        inputs: Any,
        data_samples: Any = None,
        mode: str = 'tensor',
        **kwargs: Any,
    ) -> Any:
        """Run the student; mode ``'loss'`` adds the losses of the methods.

        Args:
            inputs (Tensor): Images, (N, 3, H, W).
            data_samples (list[DetDataSample] | Tensor | dict, optional): One sample
                per image, or the labels of the images, (N, ), alone or in a dict.
            mode (str): ``'loss'``, ``'predict'`` or ``'tensor'``.
            **kwargs: What the student's own ``forward`` takes besides.
        """
        forward = functools.partial(super().forward, **kwargs)
        if mode != 'loss':
            return forward(inputs, data_samples, mode)
        return self.distillation.losses(self, forward, inputs, data_samples)

    def init_weights(self) -> None:
        """Initialise the student, and copy what it inherits from the teacher."""
        super().init_weights()
        self.distillation.bequeath(self)

    def _save_to_state_dict(self, *args: Any, **kwargs: Any) -> None:
        # torch's state_dict() calls this method, and so does mmengine's own
        self.distillation.check_finite.finish()
        super()._save_to_state_dict(*args, **kwargs)

    def _apply(self, fn: Callable, *args: Any, **kwargs: Any) -> Distilled:
        # .to(), .cuda(), .half() and the like all call this method, torch's own
        if self.distillation.owns_teacher:
            self.distillation.teacher._apply(fn, *args, **kwargs)  # noqa: SLF001
        return super()._apply(fn, *args, **kwargs)

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple:
        # A pickle finds classes by module and name, but this one is made at run time.
        _, _, *state = super().__reduce_ex__(protocol)
        classes = type(self).__mro__
        return (_empty, (classes[classes.index(Distilled) + 1],), *state)


def distilled(student: BaseModel, distillation: Distillation) -> Distilled:
    """Turn a model into a distilled student, in place.

    The model's class becomes a class derived from it, as with torch's ``fully_shard``
    and ``parametrize``.

    Args:
        student (BaseModel): The model.
        distillation (Distillation): Teacher, matched levels and methods.

    Raises:
        UserInputError: The instance has a ``forward`` that is not its class's.
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
    # messages, logs and help show the student's own class
    shown = ('__module__', '__qualname__', '__doc__')
    namespace = {name: getattr(plain, name) for name in shown}
    return type(plain.__name__, (Distilled, plain), namespace)


def _empty(plain: type) -> Any:
    """Create an instance without state, which ``copy`` or ``pickle`` then fills."""
    derived = _class_of(plain)
    return derived.__new__(derived)
