"""Who learns from whom: the building of a distilled student."""

import copy
from collections.abc import Sequence
from typing import Any, Optional

from mmdet.registry import MODELS
from mmengine.model import BaseModel

from ..errors import UserInputError
from ..methods import Method, Pair, TrainedMethod
from .adapters import Levels, Match, adapter_of
from .configs import plain_model
from .distillation import Distillation
from .features import probe
from .logits import LogitReader
from .method_building import build_methods, method_type, setting_of
from .settings import read_settings, refuse_unknown
from .student import Distilled, distilled
from .teacher import Teacher


@MODELS.register_module()
def ReviewKD(
    student: Optional[dict] = None,
    teacher: Optional[dict] = None,
    review: Optional[dict] = None,
    logits: Optional[dict] = None,
    methods: Optional[dict] = None,
    strides: Optional[Sequence[int]] = None,
    part: Optional[str] = None,
    inherit: Sequence[str] = (),
    data_preprocessor: Optional[dict] = None,
    **unknown: Any,
) -> Distilled:
    """Build a student that also learns from a trained teacher.

    The result is the student, see :class:`Distilled`; how it learns is told by
    :meth:`Distillation.losses`.

    Args:
        student (dict): Config of a detector, or of an ``ImageClassifier``.
        teacher (dict): ``config``, ``checkpoint`` and, optionally, ``scale``
            and ``weights``, see :class:`Teacher`.
        review (dict): ``weight`` of the review loss (float, >= 0; with 0 it
            is not computed) and, optionally, ``mid_channels`` and, for ablations,
            ``fusion`` and ``distance``: see :class:`Review`.
            :class:`ReviewWeightHook` varies the weight over a run. It may be left
            out where there are ``methods``.
        logits (dict, optional): Config of a loss between logits, beside the
            review: ``KDLoss`` or ``DKDLoss`` of classifiers and RoI heads,
            ``BinaryKDLoss`` of heads with anchors; see :class:`LogitReader`.
        methods (dict[str, dict], optional): Any number of other methods, by the
            names that their losses have in the log; see :class:`Method`.
        strides (Sequence[int], optional): The levels of detectors that take part, in
            pixels per cell; by default all do.
        part (str, optional): Of detectors, where the levels are: ``'neck'``, by
            default, for what necks put out, or ``'backbone'`` for its stages.
        inherit (Sequence[str]): Parts of the teacher that the student starts
            with where shapes agree, such as ``('neck', 'bbox_head')``.
        data_preprocessor (dict, optional): The student's, of configs that have
            it beside the model: mmengine's Runner hands it over.

    Raises:
        UserInputError: An argument, the teacher's checkpoint or the pair of
            models cannot be used.
    """
    refuse_unknown(unknown, ReviewKD)
    settings = read_settings(teacher, review, logits, methods, strides, part, inherit)
    kinds = {name: method_type(name, cfg) for name, cfg in settings.methods.items()}
    read = {what for kind in kinds.values() for what in kind.reads}

    model, names = _build_student(student, data_preprocessor, settings.part)
    _check_names(model, settings.inherit, kinds)
    _check_reads(model, kinds)
    tutor = Teacher(
        settings.teacher,
        source=model.data_preprocessor,
        part=settings.part,
        heads='classes' if 'logits' in read else 'none',
    )
    levels = probe(model, names)
    match = _match(model, levels, tutor, settings.strides)
    pair = Pair(
        match.names,
        [levels.channels[i] for i, _ in match.indices],
        [tutor.levels.channels[j] for _, j in match.indices],
        [levels.strides[i] for i, _ in match.indices],
    )
    memory = dict(settings.remembered(), levels=match.names)
    for name, method in build_methods(settings.methods, pair).items():
        if isinstance(method, TrainedMethod):
            method.settings = {**memory, 'weight': method.weight, **method.settings}
        model.add_module(name, method)
    reader = None
    for name, kind in kinds.items():
        if 'logits' in kind.reads:
            setting = f'{name}=dict(type={kind.__name__!r})'
            reader = LogitReader(
                model, tutor, levels.classes, setting, kind.use_sigmoid
            )
    return distilled(
        model, Distillation(tutor, names, match, list(kinds), reader, settings.inherit)
    )


def _build_student(
    student: Any, data_preprocessor: Optional[dict], part: str
) -> tuple[BaseModel, list[str]]:
    """The student, and the modules whose outputs are its levels."""
    if not isinstance(student, dict):
        raise UserInputError('ReviewKD needs student=dict(type=..., ...)')
    model = MODELS.build(copy.deepcopy(plain_model(student, data_preprocessor)))
    return model, adapter_of(model).level_names(model, 'student', part)


def _check_names(
    model: BaseModel, inherit: Sequence[str], methods: dict[str, type[Method]]
) -> None:
    """Refuse parts to inherit that the student lacks, and names that it has."""
    children = [name for name, _ in model.named_children()]
    if set(inherit) - set(children):
        raise UserInputError(
            f'inherit={inherit}: the parts of a {type(model).__name__} '
            f'are {", ".join(children)}'
        )
    for name in methods:
        if not str(name).isidentifier() or 'loss' in name or name == 'distillation':
            raise UserInputError(
                f'methods: the name {name!r} cannot be; it must be one that a variable '
                'can have, without "loss" in it'
            )
    for name in ('distillation', *methods):
        if hasattr(model, name):
            raise UserInputError(
                f'a {type(model).__name__} cannot keep what it learns with under '
                f'the name {name!r}: it has an attribute of that name already'
            )


def _check_reads(model: BaseModel, methods: dict[str, type[Method]]) -> None:
    """Refuse a method that reads what the data of this kind of model do not tell."""
    adapter = adapter_of(model)
    for name, kind in methods.items():
        given = {'features', 'logits', *adapter.gives}
        if 'logits' in kind.reads:
            given.add('labels')  # the student's own loss has them
        lacking = [what for what in kind.reads if what not in given]
        if lacking:
            raise UserInputError(
                f'{setting_of(name)}=dict(type={kind.__name__!r}) reads '
                f'{", ".join(lacking)}, which the data of a {adapter.kind} do not tell'
            )


def _match(
    model: BaseModel, levels: Levels, teacher: Teacher, strides: Optional[Sequence[int]]
) -> Match:
    adapter = adapter_of(model)
    if type(teacher.adapter) is not type(adapter):
        raise UserInputError(
            f'student {levels.owner} is a {adapter.kind}, teacher '
            f'{teacher.levels.owner} a {teacher.adapter.kind}; the levels of such a '
            'pair cannot be matched'
        )
    return adapter.match(levels, teacher.levels, strides)
