"""The interface of a distillation method.

A method reads what a student and its teacher compute from a batch, and returns
losses. It works on tensors and knows no models. This is a complete one, for a file
of your own:

    from mmdet.registry import MODELS
    from mmreviewkd.methods import Method

    @MODELS.register_module()
    class Distance(Method):
        def losses(self, student, teacher):
            pairs = zip(student.features, teacher.features)
            return dict(loss=sum((t - s).square().mean() for s, t in pairs))

``ReviewKD(..., methods=dict(distance=dict(type='Distance', weight=0.5)))`` trains
with it, and logs ``loss_distance``.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn as nn
from mmengine.logging import print_log
from torch import Tensor

from .auto_weight import AutoWeight


class Pair(NamedTuple):
    """What is known about a student and its teacher before the first batch.

    Args:
        levels (Sequence[str]): Names of the matched levels, shallow to deep, such as
            ``'stride 8'``.
        student_channels (Sequence[int]): Channels of the student's matched levels.
        teacher_channels (Sequence[int]): Channels of the teacher's matched levels.
        strides (Sequence[int]): Pixels of the student's image per cell of the
            student's levels.
        teacher_strides (Sequence[int]): Pixels of the student's image per cell of the
            teacher's levels. In classifiers, they may differ from the student's.
        maps (Sequence[int]): Indices of the levels with more than one cell. The others
            are vectors, such as a classifier's pooled last feature.
        teacher_norms (Sequence[tuple[Tensor, Tensor] | None]): Weight and bias,
            (C, ) each, of the BatchNorm that each of the teacher's levels ends with;
            None if there is none.

    Examples:
        >>> pair = Pair(['stride 8', 'stride 16'], [64, 128], [256, 512], [8, 16])
        >>> pair.teacher_channels
        [256, 512]
    """

    levels: Sequence[str]
    student_channels: Sequence[int]
    teacher_channels: Sequence[int]
    strides: Sequence[int] = ()
    teacher_strides: Sequence[int] = ()
    maps: Sequence[int] = ()
    teacher_norms: Sequence[tuple[Tensor, Tensor] | None] = ()


READABLE = ('features', 'logits', 'labels', 'boxes', 'sample_idx')
"""Names that :attr:`Method.reads` may contain, each a field of :class:`View`."""

_NOTHING = torch.empty(0)


class View(NamedTuple):
    """What one of the two models computes from a batch, and the batch's annotations.

    Fields that no method reads are empty.

    Args:
        features (Sequence[Tensor]): Features of the matched levels, shallow to deep,
            (N, C_i, H_i, W_i). A vector, such as a classifier's pooled last feature,
            is given as a map of one cell.
        logits (Tensor): Logits of images, RoIs or anchors, (M, classes).
        labels (Tensor): Class indices that the student's own loss uses for these
            logits, (M, ). For classifiers, the labels of the images, (N, ), also when
            no logits are read.
        boxes (Sequence[Tensor]): Ground truth boxes of each image, (boxes, 4), as
            x1, y1, x2, y2 in pixels of the student's image. For detectors only.
        sample_idx (Tensor): Index of each image in its dataset, (N, ).

    Examples:
        >>> view = View([torch.rand(2, 8, 16, 16)], labels=torch.tensor([3, 7]))
        >>> view.features[0].shape, len(view.logits)
        (torch.Size([2, 8, 16, 16]), 0)
    """

    features: Sequence[Tensor] = ()
    logits: Tensor = _NOTHING
    labels: Tensor = _NOTHING
    boxes: Sequence[Tensor] = ()
    sample_idx: Tensor = _NOTHING

    @property
    def pooled(self) -> Tensor:
        """The deepest feature as vectors, (N, C); the mean of a map's cells."""
        return self.features[-1].flatten(2).mean(2)


class Method(nn.Module):
    """Base class of the methods that let a student learn from a teacher.

    A method with parameters derives from :class:`TrainedMethod`.

    Args:
        weight (float): Weight of its loss. With 0 the loss is not computed.

    Attributes:
        reads (tuple[str, ...]): Fields of :class:`View` that :meth:`losses` needs,
            such as ``('features', 'labels')``.
        use_sigmoid (bool): Whether the method compares sigmoid probabilities,
            instead of softmax probabilities.
        rotations (bool): Whether the method learns from rotated copies of each image,
            as ``CropFlipPreprocessor(rotations=True)`` makes them.
        auto (AutoWeight, optional): What sets the weight during a run, in place of the
            number ``weight``.
        factor (float): Factor on the weight at this point of a run;
            :class:`ReviewWeightHook` sets it.
        name (str): Name of the method in the config, the log and the checkpoint.

    Examples:
        >>> class Distance(Method):
        ...     def losses(self, student, teacher):
        ...         return dict(loss=(student.features[0] - teacher.features[0]).norm())
        >>> method = Distance(weight=0.5)
        >>> ones = torch.ones(1, 4, 1, 1)
        >>> method.losses(View(features=[ones]), View(features=[0 * ones]))
        {'loss': tensor(2.)}
    """

    reads: tuple[str, ...] = ('features',)
    use_sigmoid = False
    rotations = False

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = weight
        self.auto: AutoWeight | None = None
        self.factor = 1.0
        self.name = type(self).__name__.lower()

    @classmethod
    def for_pair(cls, pair: Pair, **settings: Any) -> Method:
        """Build the method for a pair of models, with the settings of the config.

        Args:
            pair (Pair): The student and the teacher.
            settings: All entries of the method's config except ``type``.
        """
        return cls(**settings)

    @property
    def active(self) -> bool:
        """Whether the loss is computed at this point of a run."""
        return self.weight > 0 and self.factor > 0

    @property
    def weight_now(self) -> float | Tensor:
        """The weight at this point of a run, with its factor."""
        return self.factor * (self.weight if self.auto is None else self.auto.value)

    def losses(self, student: View, teacher: View) -> dict[str, Tensor]:
        """Compare the student with the teacher.

        Args:
            student (View): View of the student; its tensors carry gradients.
            teacher (View): View of the teacher; its tensors carry no gradients.

        Returns:
            dict[str, Tensor]: ``loss``, the scalar to train with, not yet multiplied by
            the method's weight. All other entries are only logged.
        """
        raise NotImplementedError


class TrainedMethod(Method):
    """Base class of methods with parameters, which are trained with the student's.

    The parameters are saved in the checkpoint under the method's name, together with
    the settings that they were trained with. Their shapes follow from the pair, which
    is the first argument of a constructor, unless :meth:`for_pair` is overridden.

    Attributes:
        settings (dict): The settings that it is trained with, as JSON values.

    Examples:
        >>> review = MODELS.build(
        ...     dict(type='Review', in_channels=[8], out_channels=[32])
        ... )
        >>> isinstance(review, TrainedMethod), review.settings['channels']
        (True, ['8-32'])
    """

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__(weight)
        self.settings: dict[str, Any] = {}

    @classmethod
    def for_pair(cls, pair: Pair, **settings: Any) -> TrainedMethod:
        return cls(pair, **settings)  # type: ignore[arg-type]  # subclasses take it

    def get_extra_state(self) -> Tensor:
        """Return ``settings`` as bytes, since a state dict has to hold tensors."""
        return torch.tensor(list(as_json(self.settings).encode()), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """Log a warning if a loaded checkpoint was trained with other settings."""
        try:
            before = bytes(state.tolist()).decode()
        except (AttributeError, TypeError, ValueError):
            before = ''
        warn_of_changes(self.name, before, self.settings)


def as_json(settings: dict[str, Any]) -> str:
    """Return settings as JSON; a class becomes its name."""
    return json.dumps(settings, default=_name)


def warn_of_changes(name: str, before: str, settings: dict[str, Any]) -> None:
    """Log a warning if a checkpoint was trained with other settings than these.

    Args:
        name (str): Name of what was trained, such as ``'review'``.
        before (str): Settings in the checkpoint, from :func:`as_json`.
        settings (dict): Settings of the running training.
    """
    now = json.loads(as_json(settings))
    try:
        old = dict(json.loads(before))
    except (TypeError, ValueError):
        message = 'does not say with what settings it was trained'
    else:
        changes = [
            f'{key} {old.get(key)} (now: {now.get(key)})'
            for key in {**now, **old}
            if old.get(key) != now.get(key)
        ]
        if not changes:
            return
        message = f'was trained with another {", ".join(changes)}'
    print_log(f'The {name} of this checkpoint {message}', 'current', logging.WARNING)


def _name(value: Any) -> str:
    # a config may give a type as the class itself
    return getattr(value, '__name__', str(value))
