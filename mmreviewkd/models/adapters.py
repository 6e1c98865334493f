"""What the distiller asks of a kind of model: its adapter.

Detectors and classifiers are distilled alike. They differ in what their levels are,
which levels of two models belong together, and what their logits are of; an adapter
answers that. Another kind (a segmentor, a pose estimator) is added from outside, by
an adapter that is registered: one that is registered later is asked first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Callable, NamedTuple

import numpy as np
from mmengine.model import BaseModel
from mmengine.registry import Registry
from torch import Tensor

from .logit_rows import LogitRows

ADAPTERS = Registry('adapter')
"""Adapters by name; ``@ADAPTERS.register_module()`` adds one."""


class Levels(NamedTuple):
    """The levels of a model, shallow to deep, as a blank image shows them.

    Args:
        owner (str): The model's class; for messages.
        image_size (int): Side of that image in pixels.
        strides (list[int]): Pixels per cell.
        channels (list[int]): Of each level.
        classes (int, optional): How many classes the model's outputs tell apart,
            where these alone say it.
    """

    owner: str
    image_size: int
    strides: list[int]
    channels: list[int]
    classes: int | None


class Match(NamedTuple):
    """Which levels of two models learn together, shallow to deep.

    Args:
        indices (list[tuple[int, int]]): The student's level and the teacher's.
        names (list[str]): What each of these pairs is called, as ``'stride 8'``.
    """

    indices: list[tuple[int, int]]
    names: list[str]


class Adapter:
    """A kind of model. All methods that raise ``NotImplementedError`` must be written;
    ``collate`` and ``image`` only where the review is to be looked at, and ``labels``,
    ``boxes`` and ``sample_idx`` where ``gives`` names them.

    Attributes:
        kind (str): What it is called in messages, as ``'detector'``.
        has_boxes (bool): Whether predictions can be drawn as boxes.
        gives (tuple[str, ...]): What a batch's ``data_samples`` tell that methods may
            read: ``'labels'``, ``'boxes'`` or ``'sample_idx'``.
    """

    kind: str
    has_boxes = False
    gives: tuple[str, ...] = ()

    def knows(self, model: BaseModel) -> bool:
        """Whether a model is of this kind."""
        raise NotImplementedError

    def level_names(self, model: BaseModel, role: str, part: str) -> list[str]:
        """Modules whose outputs are the levels, shallow to deep.

        Args:
            model (BaseModel): The model.
            role (str): ``'student'`` or ``'teacher'``.
            part (str): ``'neck'`` or ``'backbone'``, where a kind has the choice.

        Raises:
            UserInputError: The model has no levels there.
        """
        raise NotImplementedError

    def image_size(self, model: BaseModel) -> int:
        """Side in pixels of the blank image on which levels are looked up."""
        raise NotImplementedError

    def extract(self, model: BaseModel, inputs: Tensor) -> Any:
        """Run what the levels come out of.

        Returns:
            What logits are made from: a classifier's are the logits, a detector's are
            the maps that its heads take.
        """
        raise NotImplementedError

    def classes(self, outputs: Any) -> int | None:
        """How many classes there are, if what :meth:`extract` returns says so."""
        return None

    def match(
        self, student: Levels, teacher: Levels, strides: Sequence[int] | None
    ) -> Match:
        """Which levels learn together.

        Args:
            student (Levels): The student's.
            teacher (Levels): The teacher's, in pixels of the student's images.
            strides (Sequence[int], optional): Those that the config asks for.

        Raises:
            UserInputError: A level has no partner.
        """
        raise NotImplementedError

    def drop_unused(self, model: BaseModel, part: str, with_head: bool) -> None:
        """Take from a teacher what never runs; its weights need not fit then."""

    def check_scale(self, scale: float) -> None:
        """Refuse a teacher that sees the images at another scale.

        Raises:
            SettingError: The kind knows no levels of other sizes.
        """

    def crop(self, outputs: Any, crop: Callable) -> Any:
        """What :meth:`extract` returned, without cells of additional padding.

        Args:
            outputs (Any): It.
            crop (Callable): Does it for a list of maps.
        """
        return outputs

    def logit_rows(self, model: BaseModel) -> type[LogitRows] | None:
        """Where the model has its logits; None where no loss knows the place."""
        return None

    def labels(self, data_samples: Any) -> Tensor:
        """The class of each image, (N, )."""
        raise NotImplementedError

    def boxes(self, data_samples: Any) -> list[Tensor]:
        """The boxes of each image, (boxes, 4), in pixels of the student's image."""
        raise NotImplementedError

    def sample_idx(self, data_samples: Any) -> Tensor:
        """The index of each image in its dataset, (N, ).

        Raises:
            UserInputError: The data do not hand it on.
        """
        raise NotImplementedError

    def class_settings(self, model: BaseModel) -> Iterator[tuple[str, int]]:
        """Settings of a model and how many classes they tell apart."""
        yield from ()

    def collate(self, items: Sequence[dict]) -> dict:
        """A batch out of items of a dataset."""
        raise NotImplementedError

    def image(self, inputs: Tensor) -> np.ndarray:
        """An item's image as people look at it: RGB, (H, W, 3), of (3, H, W)."""
        raise NotImplementedError


def adapter_of(model: BaseModel) -> Adapter:
    """The adapter that knows a model; the one that was registered last."""
    adapters = (adapter() for adapter in reversed(ADAPTERS.module_dict.values()))
    return next(adapter for adapter in adapters if adapter.knows(model))
