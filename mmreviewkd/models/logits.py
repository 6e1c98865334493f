"""A loss between two models' logits for the same images, RoIs or anchors."""

from contextlib import contextmanager
from functools import partial
from itertools import zip_longest
from typing import Iterator, List, Optional, Sequence, Tuple

import torch
import torch.nn as nn
from mmdet.registry import MODELS
from mmengine.logging import MessageHub
from torch import Tensor

from ..errors import UserInputError
from .features import is_classifier
from .teacher import Teacher
from .weights import names_in

Rows = Tuple[Tensor, Tensor, Tensor]
"""The student's and the teacher's logits, (M, classes), and labels, (M, )."""


@contextmanager
def calls_of(modules: Sequence[nn.Module]) -> Iterator[List[List[tuple]]]:
    """Collect, for each module, the ``(args, output)`` of its calls.

    But for those made aside, without gradient: samplers such as OHEM ask a
    head before they choose what it is trained on.
    """
    calls = [[] for _ in modules]
    with_grad = torch.is_grad_enabled()

    def keep(to, _, args, output):
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
        student (nn.Module): The student.
        teacher (Teacher): With its head.
        classes (int, optional): The student's, if it is a classifier.

    Raises:
        UserInputError: The pair has no logits for the same things, or the loss
            is for another kind of them.
    """

    def __init__(
        self, loss: dict, student: nn.Module, teacher: Teacher, classes: Optional[int]
    ) -> None:
        self.loss = MODELS.build(loss)
        kinds = [_kind_of(model) for model in (student, teacher.model)]
        name = f'logits=dict(type={loss["type"]!r})'
        if None in kinds or kinds[0] is not kinds[1]:
            raise UserInputError(
                f'{name} needs two classifiers, two detectors with one RoI '
                'head each, or two that classify anchors; the student is a '
                f'{type(student).__name__}, the teacher a '
                f'{type(teacher.model).__name__}'
            )
        self.kind = kinds[0]()
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

    def modules(self, student: nn.Module) -> List[nn.Module]:
        """Those whose calls in a training pass :meth:`__call__` needs."""
        return self.kind.modules(student)

    def __call__(
        self, calls: List[List[tuple]], teacher: Teacher, outputs, data_samples
    ) -> Tensor:
        """The loss.

        Args:
            calls (list[list[tuple]]): See :func:`calls_of`.
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


class _ImageLogits:
    """One row per image, of two classifiers."""

    use_sigmoid, losses = False, 'KDLoss or DKDLoss'

    def check(self, student, teacher):
        pass

    def modules(self, student):
        return [student.backbone]

    def rows(self, calls, teacher, outputs, data_samples) -> Rows:
        (((_, logits),),) = calls
        return logits.flatten(1), outputs, data_samples


class _RoILogits:
    """One row per proposal that the student is trained on.

    The teacher's RoI head classifies the student's proposals; the background
    is one class more.
    """

    use_sigmoid, losses = False, 'KDLoss or DKDLoss'

    def classes(self, model):
        return model.roi_head.bbox_head.num_classes

    def check(self, student, teacher):
        for role, model in ('student', student), ('teacher', teacher.model):
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

    def modules(self, student):
        head = student.roi_head
        return [head.bbox_roi_extractor, head.bbox_head.loss_cls]

    def rows(self, calls, teacher, outputs, data_samples) -> Rows:
        head = teacher.model.roi_head
        if not calls[1]:  # there was nothing to classify
            nothing = calls[0][-1][1].flatten()[:0]
            return nothing, nothing, nothing
        # PISA weighs by the loss of detached logits first
        (logits, labels, *_), _ = calls[1][-1]
        # a mask head may share the extractor: the boxes' call is the first
        rois = next(
            (args[1] for args, _ in calls[0] if len(args[1]) == len(logits)), None
        )
        if rois is None:
            raise UserInputError(
                f'logits: {type(head.bbox_head).__name__} does not classify '
                'each proposal once'
            )
        with torch.no_grad():
            rois = torch.cat([rois[:, :1], rois[:, 1:] * teacher.scale], 1)
            theirs = head._bbox_forward(outputs, rois)['cls_score']
        return logits, theirs, labels


class _AnchorLogits:
    """One row per positive anchor, of two heads with the same anchors.

    Of the others, nearly all are easy background, on which the focal loss
    keeps its weight small and a divergence would not.
    """

    use_sigmoid, losses = True, 'BinaryKDLoss'

    def classes(self, model):
        return model.bbox_head.num_classes

    def check(self, student, teacher):
        ours, theirs = student.bbox_head, teacher.model.bbox_head
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
        if teacher.scale != 1:
            raise UserInputError(
                f'logits: with teacher=dict(scale={teacher.scale}) the '
                "teacher's anchors are others than the student's"
            )

    def modules(self, student):
        return [student.bbox_head.loss_cls]

    def rows(self, calls, teacher, outputs, data_samples) -> Rows:
        head = teacher.model.bbox_head
        with torch.no_grad():
            maps = head(outputs)[0]
        theirs = [
            scores.permute(0, 2, 3, 1).reshape(-1, head.cls_out_channels)
            for scores in maps
        ]
        calls = [args for args, _ in calls[0]]
        ours = [
            len(args[0]) if isinstance(args[1], Tensor) else 'none' for args in calls
        ]
        if ours != [len(t) for t in theirs]:
            raise UserInputError(
                f'logits: {type(head).__name__} does not classify its anchors '
                'level by level, each with a label, as RetinaHead does '
                f"(rows of its loss: {ours}, of the teacher's logits: "
                f'{[len(t) for t in theirs]})'
            )
        chosen = [
            (labels >= 0) & (labels < head.num_classes) for _, labels, *_ in calls
        ]
        return tuple(
            torch.cat([values[rows] for values, rows in zip(each, chosen)])
            for each in (
                [logits for logits, *_ in calls],
                theirs,
                [labels for _, labels, *_ in calls],
            )
        )


def _kind_of(model: nn.Module):
    # mmdet's heads import mmcv.ops, whose import may be what imports this
    from mmdet.models.dense_heads import AnchorHead
    from mmdet.models.roi_heads.bbox_heads import BBoxHead

    if is_classifier(model):
        return _ImageLogits
    if isinstance(
        getattr(getattr(model, 'roi_head', None), 'bbox_head', None), BBoxHead
    ):
        return _RoILogits
    if isinstance(getattr(model, 'bbox_head', None), AnchorHead):
        return _AnchorLogits
    return None


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
