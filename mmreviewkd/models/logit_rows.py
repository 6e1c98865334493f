"""Pairs of logits that two models compute for the same image, RoI or anchor."""

from typing import Any, NamedTuple

import torch
import torch.nn as nn
from mmengine.model import BaseModel
from torch import Tensor

from ..compat.internals import classify_boxes
from ..errors import UserInputError
from .image_labels import image_labels

Calls = list[list[tuple]]
"""For each of a list of modules, the ``(args, output)`` of its calls."""

Rows = tuple[Tensor, Tensor, Tensor]
"""The student's and the teacher's logits, (M, classes), and labels, (M, )."""


class Batch(NamedTuple):
    """What logits are read from after a student and its teacher have seen a batch.

    Args:
        calls (Calls): Calls of the student's modules that :meth:`LogitRows.modules`
            lists.
        teacher (BaseModel): The teacher, with its head.
        scale (float): Side of the teacher's images as a multiple of the student's.
        outputs (Any): What the teacher's adapter extracted from the batch.
        data_samples (Any): Annotations of the images, such as their labels.
    """

    calls: Calls
    teacher: BaseModel
    scale: float
    outputs: Any
    data_samples: Any


class LogitRows:
    """Base class that reads the logits of one kind of model."""

    use_sigmoid: bool
    losses: str
    """Names of the losses for such logits, for messages."""

    def classes(self, model: BaseModel) -> int:
        """Number of classes of the model."""
        raise NotImplementedError

    def check(self, student: BaseModel, teacher: BaseModel, scale: float) -> None:
        """Raise an error if the logits of the two models cannot be compared.

        Args:
            student (BaseModel): The student.
            teacher (BaseModel): The teacher.
            scale (float): Side of the teacher's images as a multiple of the student's.

        Raises:
            UserInputError: The logits describe different things; the message says why.
        """

    def modules(self, student: BaseModel) -> list[nn.Module]:
        """Modules of the student whose calls in a training pass :meth:`rows` needs."""
        raise NotImplementedError

    def rows(self, batch: Batch) -> Rows:
        """Return logits and labels of one batch."""
        raise NotImplementedError


class ImageRows(LogitRows):
    """One row per image, for two classifiers."""

    use_sigmoid, losses = False, 'KDLoss or DKDLoss'

    def modules(self, student: BaseModel) -> list[nn.Module]:
        return [student.backbone]

    def rows(self, batch: Batch) -> Rows:
        (((_, logits),),) = batch.calls
        return logits.flatten(1), batch.outputs, image_labels(batch.data_samples)


class RoIRows(LogitRows):
    """One row per proposal that the student is trained on.

    The teacher's RoI head classifies the student's proposals. The background is an
    additional class.
    """

    use_sigmoid, losses = False, 'KDLoss or DKDLoss'

    def classes(self, model: BaseModel) -> int:
        return model.roi_head.bbox_head.num_classes

    def check(self, student: BaseModel, teacher: BaseModel, scale: float) -> None:
        for role, model in ('student', student), ('teacher', teacher):
            head = model.roi_head.bbox_head
            if getattr(head.loss_cls, 'use_sigmoid', False):
                raise UserInputError(
                    f"logits: the {role}'s RoI head has sigmoid "
                    'probabilities, and no class for the background'
                )
            if head.custom_cls_channels:
                raise UserInputError(
                    f"logits: the {role}'s {type(head.loss_cls).__name__} has "
                    'channels that are no classes'
                )

    def modules(self, student: BaseModel) -> list[nn.Module]:
        head = student.roi_head
        return [head.bbox_roi_extractor, head.bbox_head.loss_cls]

    def rows(self, batch: Batch) -> Rows:
        head = batch.teacher.roi_head
        extractor_calls, loss_calls = batch.calls
        if not loss_calls:  # there was nothing to classify
            nothing = extractor_calls[-1][1].flatten()[:0]
            return nothing, nothing, nothing
        # PISA first computes its weights from the loss of detached logits, so the
        # last call is the one that trains
        (logits, labels, *_), _ = loss_calls[-1]
        # a mask head may share the extractor; the first call is the one for boxes
        rois = next(
            (args[1] for args, _ in extractor_calls if len(args[1]) == len(logits)),
            None,
        )
        if rois is None:
            raise UserInputError(
                f'logits: {type(head.bbox_head).__name__} does not classify '
                'each proposal once'
            )
        with torch.no_grad():
            rois = torch.cat([rois[:, :1], rois[:, 1:] * batch.scale], 1)
            theirs = classify_boxes(head, batch.outputs, rois)
        return logits, theirs, labels


class AnchorRows(LogitRows):
    """One row per positive anchor, for two heads with the same anchors.

    Nearly all other anchors are easy background. The focal loss gives them little
    weight; a divergence would not.
    """

    use_sigmoid, losses = True, 'BinaryKDLoss'

    def classes(self, model: BaseModel) -> int:
        return model.bbox_head.num_classes

    def check(self, student: BaseModel, teacher: BaseModel, scale: float) -> None:
        ours, theirs = student.bbox_head, teacher.bbox_head
        for head in (ours, theirs):
            generator = getattr(head, 'prior_generator', None)
            if not hasattr(generator, 'base_anchors'):
                raise UserInputError(
                    f'logits: {type(head).__name__} has no anchors of fixed shapes'
                )
        anchors = [
            [base.tolist() for base in head.prior_generator.base_anchors]
            for head in (ours, theirs)
        ]
        strides = [head.prior_generator.strides for head in (ours, theirs)]
        if anchors[0] != anchors[1] or strides[0] != strides[1]:
            raise UserInputError(
                'logits: student and teacher must have the same anchors; '
                f'theirs differ in size, shape or stride (student: strides '
                f'{strides[0]}, {len(anchors[0][0])} per cell; teacher: '
                f'{strides[1]}, {len(anchors[1][0])})'
            )
        if not ours.use_sigmoid_cls or not theirs.use_sigmoid_cls:
            raise UserInputError(
                'logits: both heads must have sigmoid probabilities for their anchors'
            )
        if scale != 1:
            raise UserInputError(
                f'logits: with teacher=dict(scale={scale}) the '
                "teacher's anchors are others than the student's"
            )

    def modules(self, student: BaseModel) -> list[nn.Module]:
        return [student.bbox_head.loss_cls]

    def rows(self, batch: Batch) -> Rows:
        head = batch.teacher.bbox_head
        with torch.no_grad():
            maps = head(batch.outputs)[0]
        theirs = [
            scores.permute(0, 2, 3, 1).reshape(-1, head.cls_out_channels)
            for scores in maps
        ]
        arguments = [args for args, _ in batch.calls[0]]
        ours: list[Any] = [
            len(args[0]) if isinstance(args[1], Tensor) else 'none'
            for args in arguments
        ]
        if ours != [len(t) for t in theirs]:
            raise UserInputError(
                f'logits: {type(head).__name__} does not classify its anchors '
                'level by level, each with a label, as RetinaHead does '
                f"(rows of its loss: {ours}, of the teacher's logits: "
                f'{[len(t) for t in theirs]})'
            )
        logits = [args[0] for args in arguments]
        labels = [args[1] for args in arguments]
        positive = [(each >= 0) & (each < head.num_classes) for each in labels]

        def chosen(levels: list[Tensor]) -> Tensor:
            return torch.cat([values[rows] for values, rows in zip(levels, positive)])

        return chosen(logits), chosen(theirs), chosen(labels)
