"""ReviewKD, which builds a distilled student."""

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
from .setting_keys import refuse_unknown
from .settings import Settings, read_settings
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

    The result is the student itself, see :class:`Distilled`; how it learns is
    described at :meth:`Distillation.losses`.

    Args:
        student (dict): Config of a detector, or of an ``ImageClassifier``.
        teacher (dict): ``config``, ``checkpoint`` and, optionally, ``scale``
            and ``weights``, see :class:`TeacherSettings`.
        review (dict, optional): ``weight`` of the review loss (float, >= 0; with 0
            it is not computed; or ``'auto'``) and, optionally, ``mid_channels`` and,
            for ablations, ``fusion`` and ``distance``, see :class:`Review`.
            :class:`ReviewWeightHook` varies the weight during a run. May be left
            out if there are ``methods``.
        logits (dict, optional): Config of a loss between logits, beside the
            review: ``KDLoss`` or ``DKDLoss`` for classifiers and RoI heads,
            ``BinaryKDLoss`` for heads with anchors; see :class:`LogitReader`.
        methods (dict[str, dict], optional): Configs of any other methods, by the
            names that their losses have in the log; see :class:`Method`.
        strides (Sequence[int], optional): Strides of the detector levels that take
            part, in pixels per cell. Defaults to all.
        part (str, optional): Where the levels of detectors are: ``'neck'``, the
            default, for the neck's outputs or ``'backbone'`` for its stages.
        inherit (Sequence[str]): Parts that the student copies from the teacher
            where the shapes agree, such as ``('neck', 'bbox_head')``.
        data_preprocessor (dict, optional): The student's data preprocessor, if the
            config has it beside the model: mmengine's Runner passes it on.

    Raises:
        UserInputError: An argument, the teacher's checkpoint or the pair of
            models cannot be used.

    Examples:
        >>> model = dict(
        ...     type='ImageClassifier',
        ...     backbone=dict(type='CifarResNet', depth=8),
        ...     data_preprocessor=dict(type='CropFlipPreprocessor'),
        ... )
        >>> torch.save(MODELS.build(model).state_dict(), 'teacher.pth')
        >>> teacher = dict(config=model, checkpoint='teacher.pth')
        >>> student = ReviewKD(student=model, teacher=teacher, review=dict(weight=1.0))
        >>> inputs, labels = torch.rand(2, 3, 32, 32), torch.tensor([5, 9])
        >>> losses = student(inputs, labels, mode='loss')
        >>> [name for name in losses if 'loss' in name]
        ['loss_cls', 'loss_review']
    """
    refuse_unknown(unknown, ReviewKD)
    settings = read_settings(teacher, review, logits, methods, strides, part, inherit)
    types = {name: method_type(name, cfg) for name, cfg in settings.methods.items()}
    model, names = _build_student(student, data_preprocessor, settings.part)
    _check_names(model, settings.inherit, types)
    _check_reads(model, types)
    return distilled(model, _build_distillation(model, names, settings, types))


def _build_distillation(
    model: BaseModel,
    names: list[str],
    settings: Settings,
    types: dict[str, type[Method]],
) -> Distillation:
    """Build the teacher, match the levels, and give the student its methods."""
    read = {what for each in types.values() for what in each.reads}
    teacher = Teacher(
        settings.teacher,
        source=model.data_preprocessor,
        part=settings.part,
        heads='classes' if 'logits' in read else 'none',
    )
    levels = probe(model, names)
    match = _match(model, levels, teacher, settings.strides)
    pair = _pair(match, levels, teacher.levels)
    memory = dict(settings.remembered(), levels=match.names)
    for name, method in build_methods(settings.methods, pair).items():
        if isinstance(method, TrainedMethod):
            weight = method.weight if method.auto is None else 'auto'
            method.settings = {**memory, 'weight': weight, **method.settings}
        model.add_module(name, method)
    reader = None
    for name, each in types.items():
        if 'logits' in each.reads:
            setting = f'{setting_of(name)}=dict(type={each.__name__!r})'
            reader = LogitReader(
                model, teacher, levels.classes, setting, each.use_sigmoid
            )
    return Distillation(
        teacher, names, match, list(types), reader, settings.inherit, memory
    )


def _pair(match: Match, student: Levels, teacher: Levels) -> Pair:
    """Tell the methods what is known of the matched levels."""
    ours, theirs = zip(*match.indices)
    strides = [student.strides[i] for i in ours]
    return Pair(
        match.names,
        [student.channels[i] for i in ours],
        [teacher.channels[j] for j in theirs],
        strides,
        [teacher.strides[j] for j in theirs],
        # one cell covers the whole blank image
        [k for k, stride in enumerate(strides) if stride < student.image_size],
        [teacher.norms[j] for j in theirs],
    )


def _build_student(
    student: Any, data_preprocessor: Optional[dict], part: str
) -> tuple[BaseModel, list[str]]:
    """Build the student, and name the modules whose outputs are its levels."""
    if not isinstance(student, dict):
        raise UserInputError('ReviewKD needs student=dict(type=..., ...)')
    model = MODELS.build(copy.deepcopy(plain_model(student, data_preprocessor)))
    return model, adapter_of(model).level_names(model, 'student', part)


def _check_names(
    model: BaseModel, inherit: Sequence[str], methods: dict[str, type[Method]]
) -> None:
    """Refuse inherited parts that the student lacks, and names that it already has."""
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
    """Refuse methods that read what the data of this kind of model do not contain."""
    adapter = adapter_of(model)
    rotations = getattr(model.data_preprocessor, 'rotations', False)
    for name, each in methods.items():
        setting = f'{setting_of(name)}=dict(type={each.__name__!r})'
        given = {'features', 'logits', *adapter.gives}
        if 'logits' in each.reads:
            given.add('labels')  # the student's own loss takes them
        lacking = [what for what in each.reads if what not in given]
        if lacking:
            raise UserInputError(
                f'{setting} reads {", ".join(lacking)}, which the data of a '
                f'{adapter.kind} do not tell'
            )
        if each.rotations and not rotations:
            raise UserInputError(
                f'{setting} learns from four copies of each image, and none are made: '
                'set rotations=True in the data_preprocessor, a CropFlipPreprocessor'
            )
        # rotated copies have no labels, and are not what logits are published for
        if rotations and not each.rotations and {'logits', 'labels'} & set(each.reads):
            raise UserInputError(
                f'{setting} learns from images as they are: leave out rotations=True '
                'of the data_preprocessor, or train with SSKD alone'
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
