"""Review-KD around a detector or classifier (arXiv 2104.09044)."""

import copy
import os.path as osp
from collections.abc import Sequence
from typing import Any, Callable, Optional, Union

import torch
import torch.nn as nn
from mmdet.registry import MODELS
from mmengine.logging import MessageHub
from mmengine.model import BaseModel
from torch import Tensor

from ..errors import UserInputError
from .configs import plain_model
from .features import (
    is_classifier,
    level_names,
    match_in_order,
    match_levels,
    probe,
    record,
)
from .logits import Logits, calls_of
from .renormalize import check_preprocessors
from .review import Review
from .settings import arguments_of, refuse_unknown, review_settings
from .teacher import Teacher

_MAX_OVERFLOWS = 40


@MODELS.register_module()
class ReviewKD(BaseModel):
    """A student that also learns its features from a trained teacher.

    1. the teacher sees the batch (no gradient; a detector's heads do not run),
    2. the student's own losses are computed; its features are recorded: a
       detector's neck outputs, a classifier's stages and pooled vector,
    3. :class:`Review` fuses them from deep to shallow and compares each level
       with the teacher's of the same stride, or the same stage.

    In every other mode (predict, validation, test, tensor) the student alone
    runs.

    To the outside this model *is* the student, with one child more, the
    ``review``: parameters, buffers and modules keep their names. So every
    setting that goes by name (``paramwise_cfg``, hooks, activation
    checkpointing) means what it means for the student, and each checkpoint
    loads into the plain student's config, which skips ``review.*``. The
    teacher is no child: it is in no state dict, optimizer, EMA or DDP bucket.

    Args:
        student (dict): Config of a detector, or of an ``ImageClassifier``.
        teacher (dict): ``config``, ``checkpoint`` and, optionally, ``scale``
            and ``weights``, see :class:`Teacher`.
        review (dict): ``weight`` of the review loss (float, >= 0; with 0 it
            is not computed) and, optionally, ``strides``, the levels that
            take part; by default all do. ``features='backbone'`` compares the
            stages of detectors' backbones instead of what their necks put
            out. ``mid_channels`` and, for ablations, ``fusion`` and
            ``distance``: see :class:`Review`. :class:`ReviewWeightHook` varies
            the weight over a run.
        logits (dict, optional): Config of a loss between logits, beside the
            review: ``KDLoss`` or ``DKDLoss`` of classifiers and RoI heads,
            ``BinaryKDLoss`` of heads with anchors; see :class:`Logits`.
        inherit (Sequence[str]): Parts of the teacher that the student starts
            with where shapes agree, such as ``('neck', 'bbox_head')``.
        data_preprocessor (dict, optional): The student's, of configs that have
            it beside the model: mmengine's Runner hands it over.

    Raises:
        UserInputError: An argument, the teacher's checkpoint or the pair of
            models cannot be used.
    """

    student: BaseModel
    teacher: Teacher
    review: Review
    logits: Optional[Logits]

    def __init__(
        self,
        student: Optional[dict] = None,
        teacher: Optional[dict] = None,
        review: Optional[dict] = None,
        logits: Optional[dict] = None,
        inherit: Sequence[str] = (),
        data_preprocessor: Optional[dict] = None,
        **unknown: Any,
    ) -> None:
        refuse_unknown(unknown, ReviewKD.__init__)
        teacher = arguments_of(Teacher.__init__, 'teacher', teacher)
        weight, strides, part, settings = review_settings(
            **arguments_of(review_settings, 'review', review)
        )
        if not isinstance(student, dict):
            raise UserInputError('ReviewKD needs student=dict(type=..., ...)')
        student_model: BaseModel = MODELS.build(
            copy.deepcopy(plain_model(student, data_preprocessor))
        )
        names = level_names(student_model, 'student', part)
        inherit = [inherit] if isinstance(inherit, str) else list(inherit)
        if set(inherit) - set(student_model._modules):
            raise UserInputError(
                f'inherit={inherit}: the parts of a {type(student_model).__name__} '
                f'are {", ".join(student_model._modules)}'
            )
        super().__init__()
        self.names, self.inherit, self.weight = names, inherit, weight
        self.factor = 1.0
        """Of both losses; set by a hook."""
        self.overflows = 0
        file = teacher['checkpoint']
        memory = dict(
            teacher=osp.abspath(file) if osp.exists(file) else file, weight=weight
        )
        # what is not as usual
        if teacher.get('weights') not in (None, 'state_dict'):
            memory['teacher weights'] = teacher['weights']
        if teacher.get('scale', 1) != 1:
            memory['teacher scale'] = teacher['scale']
        if part != 'neck':
            memory['features'] = part
        if logits:
            memory['logits'] = dict(logits)
        teacher_model = Teacher(**teacher, part=part, with_head=bool(logits))
        check_preprocessors(student_model.data_preprocessor, teacher_model.preprocessor)
        ours, channels, classes = probe(student_model, names)
        if is_classifier(student_model) or is_classifier(teacher_model.model):
            self.pairs = match_in_order(
                student_model, ours, teacher_model.model, teacher_model.strides, strides
            )
            self.levels = [f'level {i}' for i, _ in self.pairs]
        else:
            self.pairs = match_levels(ours, teacher_model.strides, strides)
            self.levels = [f'stride {ours[i]}' for i, _ in self.pairs]
        student_model.review = Review(
            [channels[i] for i, _ in self.pairs],
            [teacher_model.channels[j] for _, j in self.pairs],
            **settings,
        )
        student_model.review.settings.update(
            memory,
            levels=self.levels,
            channels=[
                f'{abf.reduce.conv.in_channels}-{abf.output.conv.out_channels}'
                for abf in student_model.review.levels
            ],
            fusion=settings['fusion'],
            distance=settings['distance'],
        )
        # None is a child: the student shares its tables with this model
        # instead, the teacher is nobody's, and a loss has no parameters.
        self.__dict__.update(
            student=student_model,
            teacher=teacher_model,
            logits=Logits(logits, student_model, teacher_model, classes)
            if logits
            else None,
            _parameters=student_model._parameters,
            _buffers=student_model._buffers,
            _modules=student_model._modules,
        )

    def forward(
        self,
        inputs: Tensor,
        data_samples: Union[list, Tensor, None] = None,
        mode: str = 'tensor',
    ) -> Union[dict[str, Tensor], list, tuple, Tensor]:
        """The student's, with the review loss added in mode ``'loss'``.

        Args:
            inputs (Tensor): (N, 3, H, W).
            data_samples (list[DetDataSample] | Tensor, optional): One per
                image, or the labels of images, (N, ).
            mode (str): ``'loss'``, ``'predict'`` or ``'tensor'``.
        """
        if mode != 'loss':
            return self.student(inputs, data_samples, mode)
        with_review = self.factor > 0 and self.weight > 0
        logits = self.logits if self.factor > 0 else None
        if with_review or logits:
            # first, while the student's activations do not yet fill the memory
            targets, outputs = self.teacher(
                inputs, data_samples, self.data_preprocessor
            )
        names = self.names if with_review else []
        modules = logits.modules(self.student) if logits else []
        with record(self.student, names) as features, calls_of(modules) as calls:
            losses = self.student(inputs, data_samples, mode)
        if logits:
            losses['loss_logits'] = self.factor * logits(
                calls, self.teacher, outputs, data_samples
            )
        if with_review:
            losses.update(self._review_losses(features, targets))
        else:
            # DDP waits for a gradient of every parameter
            losses['loss_review'] = 0 * sum(
                parameter.sum() for parameter in self.review.parameters()
            )
        return losses

    def _review_losses(
        self, features: Sequence[Tensor], targets: Sequence[Tensor]
    ) -> dict[str, Tensor]:
        features = [features[i] for i, _ in self.pairs]
        targets = [targets[j] for _, j in self.pairs]
        if len(features[0]) != len(targets[0]):
            raise UserInputError(
                f'in training, {" ".join(self.names)} of '
                f'{type(self.student).__name__} puts out {len(features[0])} '
                f'maps a level for {len(targets[0])} images; the review '
                'compares one map with one'
            )
        levels = self.review.loss(features, targets)
        if torch.isfinite(levels).all():
            self.overflows = 0
        else:
            self._check_finite(features, targets, levels)
        losses = {'loss_review': self.weight * self.factor * levels.sum()}
        # shown, not added: the key has no "loss" in it
        for name, level in zip(self.levels, levels.detach()):
            losses[f'review_{name.replace(" ", "")}'] = level
        return losses

    def _check_finite(
        self, features: list[Tensor], targets: list[Tensor], levels: Tensor
    ) -> None:
        """Stop, unless it is an overflow that a GradScaler will skip.

        A scaler halves its scale each time, from 2 ** 16 by default; what does
        not end by then is no overflow.
        """
        self.overflows += 1
        scaled = (
            torch.is_autocast_enabled()
            and torch.get_autocast_gpu_dtype() == torch.float16
        )
        iteration = MessageHub.get_current_instance().get_info('iter', 0) + 1
        # deepest first, the way in which one level spoils the next
        for name, feature, target, level in reversed(
            list(zip(self.levels, features, targets, levels))
        ):
            if torch.isfinite(level):
                continue
            culprits = [
                owner
                for owner, values in (("student's", feature), ("teacher's", target))
                if not torch.isfinite(values).all()
            ]
            if (
                scaled
                and "teacher's" not in culprits
                and self.overflows <= _MAX_OVERFLOWS
            ):
                continue
            raise FloatingPointError(
                f'review loss is {level.item()} at {name} in '
                f'iteration {iteration}; '
                + (
                    f'the {" and the ".join(culprits)} feature is not finite'
                    if culprits
                    else 'both features are finite'
                )
                + '. Training stops before the step; checkpoints written so far '
                'are whole'
            )

    def init_weights(self) -> None:
        """Initialise the student; the teacher is trained already."""
        self.student.init_weights()
        if self.inherit:
            self.teacher.bequeath(self.student, self.inherit)

    def train(self, mode: bool = True) -> 'ReviewKD':
        """Set the student's and the review's mode; the teacher stays eval."""
        self.training = mode
        self.student.train(mode)
        return self

    def _load_from_state_dict(self, *args: Any) -> None:
        # the student's own, which may know a checkpoint's names by others
        self.student._load_from_state_dict(*args)

    def _apply(self, fn: Callable, *args: Any, **kwargs: Any) -> 'ReviewKD':
        # what .to(), .cuda(), .half() and the like come down to
        self.teacher._apply(fn, *args, **kwargs)
        # students that distil themselves keep a teacher outside of all tables
        for module in vars(self.student).values():
            if isinstance(module, nn.Module):
                module._apply(fn, *args, **kwargs)
        return super()._apply(fn, *args, **kwargs)
