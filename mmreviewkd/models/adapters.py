"""Adapters: what the distiller has to know about a kind of model.

Detectors and classifiers are distilled in the same way. They differ in what their
levels are, in which levels of two models are matched, and in what their logits
describe; an adapter answers these questions. Another kind of model (a segmentor, a
pose estimator) is supported from outside by registering an adapter. The adapter that
was registered last is asked first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Callable, NamedTuple

import numpy as np
from mmengine.model import BaseModel
from mmengine.registry import Registry
from torch import Tensor

from ..errors import SettingError
from .logit_rows import LogitRows

ADAPTERS = Registry('adapter')
"""Registry of the adapters; ``@ADAPTERS.register_module()`` adds one."""


class Levels(NamedTuple):
    """The levels of a model, shallow to deep, measured on a blank image.

    Args:
        owner (str): Name of the model's class, for messages.
        image_size (int): Side of the blank image in pixels.
        strides (list[int]): Pixels per cell of each level.
        channels (list[int]): Channels of each level.
        classes (int, optional): Number of classes, if the shape of the model's
            outputs tells it.
        norms (Sequence[tuple[Tensor, Tensor] | None]): Weight and bias of the
            BatchNorm that each level ends with, see :func:`last_norms`.
    """

    owner: str
    image_size: int
    strides: list[int]
    channels: list[int]
    classes: int | None
    norms: Sequence[tuple[Tensor, Tensor] | None] = ()


class Match(NamedTuple):
    """The levels of two models that are matched, shallow to deep.

    Args:
        indices (list[tuple[int, int]]): Index of the student's level and index of the
            teacher's level, for each pair.
        names (list[str]): Name of each pair, such as ``'stride 8'``.
    """

    indices: list[tuple[int, int]]
    names: list[str]


class Adapter:
    """Base class of the adapters, one for each kind of model.

    A derived class must override all methods that raise ``NotImplementedError``, with
    these exceptions: ``collate`` and ``image`` are only needed for visualization, and
    ``labels``, ``boxes`` and ``sample_idx`` only if ``gives`` names them.

    Attributes:
        kind (str): Name of the kind in messages, such as ``'detector'``.
        has_boxes (bool): Whether predictions can be drawn as boxes.
        gives (tuple[str, ...]): What methods can read from a batch's ``data_samples``:
            ``'labels'``, ``'boxes'`` or ``'sample_idx'``.

    Examples:
        >>> class SegmentorAdapter(Adapter):
        ...     kind = 'segmentor'
        ...     def knows(self, model):
        ...         return hasattr(model, 'decode_head')
        >>> SegmentorAdapter().knows(torch.nn.Linear(4, 2))
        False
    """

    kind: str
    has_boxes = False
    gives: tuple[str, ...] = ()

    def knows(self, model: BaseModel) -> bool:
        """Whether a model is of this kind."""
        raise NotImplementedError

    def level_names(self, model: BaseModel, role: str, part: str) -> list[str]:
        """Return the modules whose outputs are the levels, shallow to deep.

        Args:
            model (BaseModel): The model.
            role (str): ``'student'`` or ``'teacher'``.
            part (str): ``'neck'`` or ``'backbone'``, for kinds that have the choice.

        Raises:
            UserInputError: The model has no levels there.
        """
        raise NotImplementedError

    def choose_levels(self, model: BaseModel, levels: str | Sequence[str]) -> None:
        """Let a teacher have other levels than its config says.

        Args:
            model (BaseModel): The teacher's model.
            levels (str | Sequence[str]): The levels, see :class:`TeacherSettings`.

        Raises:
            SettingError: The levels of this kind are chosen in another way.
        """
        raise SettingError(
            f'{{}}: is for classifiers, not for a {self.kind}; leave it out',
            'teacher',
            'levels',
            levels,
        )

    def image_size(self, model: BaseModel) -> int:
        """Side, in pixels, of the blank image on which the levels are measured."""
        raise NotImplementedError

    def extract(self, model: BaseModel, inputs: Tensor) -> Any:
        """Run the part of the model that computes the levels.

        Args:
            model (BaseModel): The model.
            inputs (Tensor): Images, (N, 3, H, W).

        Returns:
            The logits for a classifier, or the features that a detector's heads take.
        """
        raise NotImplementedError

    def classes(self, outputs: Any) -> int | None:
        """Number of classes, or None if :meth:`extract`'s outputs do not tell it."""
        return None

    def match(
        self, student: Levels, teacher: Levels, strides: Sequence[int] | None
    ) -> Match:
        """Match the levels of a student with those of a teacher.

        Args:
            student (Levels): Levels of the student.
            teacher (Levels): Levels of the teacher, with strides in pixels of the
                student's images.
            strides (Sequence[int], optional): Strides that the config selects.

        Raises:
            UserInputError: A level has no partner.
        """
        raise NotImplementedError

    def drop_unused(self, model: BaseModel, part: str, with_head: bool) -> None:
        """Delete modules of a teacher that never run; they then need no weights."""

    def check_scale(self, scale: float) -> None:
        """Refuse a teacher scale other than 1 if the kind cannot match such levels.

        Raises:
            SettingError: The kind does not support this scale.
        """

    def crop(self, outputs: Any, crop: Callable) -> Any:
        """Cut off the cells of additional padding from what :meth:`extract` returned.

        Args:
            outputs (Any): What :meth:`extract` returned.
            crop (Callable): Cuts a list of features to the student's extent.
        """
        return outputs

    def logit_rows(self, model: BaseModel) -> type[LogitRows] | None:
        """Return how to read the model's logits, or None if no method can read them."""
        return None

    def labels(self, data_samples: Any) -> Tensor:
        """Return the class index of each image, (N, )."""
        raise NotImplementedError

    def boxes(self, data_samples: Any) -> list[Tensor]:
        """Return each image's boxes, (boxes, 4), in pixels of the student's image."""
        raise NotImplementedError

    def sample_idx(self, data_samples: Any) -> Tensor:
        """Return the index of each image in its dataset, (N, ).

        Raises:
            UserInputError: ``data_samples`` lack the indices.
        """
        raise NotImplementedError

    def class_settings(self, model: BaseModel) -> Iterator[tuple[str, int]]:
        """Yield the places in a model that fix a number of classes, with the number."""
        yield from ()

    def collate(self, items: Sequence[dict]) -> dict:
        """Make a batch of items of a dataset."""
        raise NotImplementedError

    def image(self, inputs: Tensor) -> np.ndarray:
        """Convert an item's image, (3, H, W), to RGB, (H, W, 3), for display."""
        raise NotImplementedError


def adapter_of(model: BaseModel) -> Adapter:
    """Return the adapter that knows a model; of several, the one registered last."""
    adapters = (adapter() for adapter in reversed(ADAPTERS.module_dict.values()))
    return next(adapter for adapter in adapters if adapter.knows(model))
