"""What a method of distillation is.

A method reads what a student and its teacher make of a batch, and returns losses. It
knows tensors and no models. This is one, whole, to be put into a file of your own:

    from mmdet.registry import MODELS
    from mmreviewkd.methods import Method

    @MODELS.register_module()
    class Mimic(Method):
        def losses(self, student, teacher):
            pairs = zip(student.features, teacher.features)
            return dict(loss=sum((t - s).square().mean() for s, t in pairs))

``ReviewKD(..., methods=dict(mimic=dict(type='Mimic', weight=0.5)))`` trains with it,
and logs ``loss_mimic``.
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


class Pair(NamedTuple):
    """What is known of a student and its teacher before the first batch.

    Args:
        levels (Sequence[str]): What the levels that learn together are called,
            shallow to deep, as ``'stride 8'``.
        student_channels (Sequence[int]): The student's, of each of them.
        teacher_channels (Sequence[int]): The teacher's.
        strides (Sequence[int]): Pixels of the student's image per cell.
    """

    levels: Sequence[str]
    student_channels: Sequence[int]
    teacher_channels: Sequence[int]
    strides: Sequence[int] = ()


READABLE = ('features', 'logits', 'labels', 'boxes', 'sample_idx')
"""What a method can ask for, each a field of :class:`View`."""

_NOTHING = torch.empty(0)


class View(NamedTuple):
    """What one of the two models makes of a batch, and what is known of the batch.

    What no method reads is empty.

    Args:
        features (Sequence[Tensor]): Of the levels that learn together, shallow to
            deep, (N, C_i, H_i, W_i). A vector, such as the one that a classifier
            pools its last map to, is a map of one cell.
        logits (Tensor): Of images, RoIs or anchors, (M, classes).
        labels (Tensor): Of the same, (M, ), as the student's own loss has them; of a
            classifier's images, (N, ), also where no logits are read.
        boxes (Sequence[Tensor]): Of the objects in each image, (boxes, 4) as x1, y1,
            x2, y2 in pixels of the student's image; of detectors alone.
        sample_idx (Tensor): Index of each image in its dataset, (N, ).
    """

    features: Sequence[Tensor] = ()
    logits: Tensor = _NOTHING
    labels: Tensor = _NOTHING
    boxes: Sequence[Tensor] = ()
    sample_idx: Tensor = _NOTHING


class Method(nn.Module):
    """One way to learn from a teacher.

    One that has parameters is a :class:`TrainedMethod`.

    Args:
        weight (float): Of its loss; with 0 it is not computed.

    Attributes:
        reads (tuple[str, ...]): What :meth:`losses` needs of each view:
            names of its fields, such as ``('features', 'labels')``.
        use_sigmoid (bool): Whether it compares logits of classes that are
            probable one by one, instead of logits of a softmax.
        factor (float): What the weight is multiplied with at this point of a run;
            :class:`ReviewWeightHook` sets it.
        name (str): What it is called in the config, the log and the checkpoint.
    """

    reads: tuple[str, ...] = ('features',)
    use_sigmoid = False

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = weight
        self.factor = 1.0
        self.name = type(self).__name__.lower()

    @classmethod
    def for_pair(cls, pair: Pair, **settings: Any) -> Method:
        """The method with what the config sets, for two models.

        Args:
            pair (Pair): The two models.
            settings: What stands in the config beside ``type``.
        """
        return cls(**settings)

    @property
    def active(self) -> bool:
        """Whether it is computed at this point of a run."""
        return self.weight > 0 and self.factor > 0

    def losses(self, student: View, teacher: View) -> dict[str, Tensor]:
        """Compare the two.

        Args:
            student (View): Its tensors carry gradients.
            teacher (View): Its tensors carry none.

        Returns:
            dict[str, Tensor]: ``loss``, a scalar that is trained, without the
            method's weight; all else is logged.
        """
        raise NotImplementedError


class TrainedMethod(Method):
    """A method with parameters, which are trained with the student's.

    They lie in the checkpoint under the method's name, and beside them what it was
    trained with.

    Attributes:
        settings (dict): With what it is trained, as JSON has it.
    """

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__(weight)
        self.settings: dict[str, Any] = {}

    def get_extra_state(self) -> Tensor:
        """``settings``, in bytes: a state dict is expected to hold tensors."""
        return torch.tensor(list(self._as_json().encode()), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """Warn where a loaded checkpoint was trained with other settings."""
        now = json.loads(self._as_json())
        try:
            before = dict(json.loads(bytes(state.tolist())))
        except (AttributeError, TypeError, ValueError):
            print_log(
                f'The {self.name} of this checkpoint does not say with what '
                'settings it was trained',
                'current',
                logging.WARNING,
            )
            return
        changes = [
            f'{key} {before.get(key)} (now: {now.get(key)})'
            for key in {**now, **before}
            if before.get(key) != now.get(key)
        ]
        if changes:
            print_log(
                f'The {self.name} of this checkpoint was trained with another '
                + ', '.join(changes),
                'current',
                logging.WARNING,
            )

    def _as_json(self) -> str:
        return json.dumps(self.settings, default=_name)


def _name(value: Any) -> str:
    # a config may name a type by its class
    return getattr(value, '__name__', str(value))
