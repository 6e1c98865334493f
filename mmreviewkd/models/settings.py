"""The settings of a distillation, checked before any model is built."""

import dataclasses
import math
import os.path as osp
from collections.abc import Mapping, Sequence
from typing import Any, Optional, Union

from ..compat.precision import check_precision
from ..compat.type_name import type_name
from ..errors import SettingError, UserInputError
from .setting_keys import filled


@dataclasses.dataclass(frozen=True)
class TeacherSettings:
    """Settings in ``teacher=dict(...)``.

    Args:
        config (str | dict): Path of the teacher's config, its name such as
            ``'mmdet::...'`` or ``'mmreviewkd::...'``, or the model's dict.
        checkpoint (str): File or URL of the teacher's weights.
        scale (float): Side of the teacher's images as a multiple of the student's.
            Levels of one size are then matched, to the nearest power of two.
        weights (str, optional): Entry of the checkpoint that holds the weights,
            such as ``'ema_state_dict'``. Defaults to ``'state_dict'``, ``'model'``
            or, if the file has neither, the file itself.
        levels (str | Sequence[str], optional): Levels of an ``ImageClassifier``,
            which stand in for those of its config: ``'after'`` or ``'before'`` the
            activations of the stages, or names of the backbone's modules.
        batch_statistics (bool): Whether the teacher's BatchNorm layers use the mean
            and variance of each batch, as published for :class:`OFD`, instead of
            those of the checkpoint. Evaluations of the teacher use the latter.
        precision (str, optional): ``'bfloat16'`` to run the teacher in it. Defaults to
            that of the run, which is half precision already under ``--amp``.

    Raises:
        UserInputError: A value cannot be used; the message names it.

    Examples:
        >>> TeacherSettings('r101.py', 'r101.pth', scale=2.0).remembered()
        {'teacher': 'r101.pth', 'teacher scale': 2.0}
    """

    config: Union[str, dict]
    checkpoint: str
    scale: float = 1.0
    weights: Optional[str] = None
    levels: Optional[Union[str, Sequence[str]]] = None
    batch_statistics: bool = False
    precision: Optional[str] = None

    def __post_init__(self) -> None:
        check_precision('teacher', self.precision)
        for name, kinds in (
            ('config', (str, dict)),
            ('checkpoint', (str,)),
            ('weights', (str, type(None))),
            ('batch_statistics', (bool,)),
        ):
            value = getattr(self, name)
            if not isinstance(value, kinds):
                raise UserInputError(
                    f'teacher=dict({name}={value!r}): must be '
                    + ' or '.join(k.__name__ for k in kinds if k is not type(None))
                )
        if not isinstance(self.scale, (int, float)) or not 0 < self.scale < math.inf:
            raise SettingError(
                "{}: must be a number > 0, the side of the teacher's images "
                "as a multiple of the student's",
                'teacher',
                'scale',
                self.scale,
            )
        if self.levels not in (None, 'after', 'before') and not _are_names(self.levels):
            raise SettingError(
                "{}: must be 'after', 'before' or a list of names of the backbone's "
                'modules',
                'teacher',
                'levels',
                self.levels,
            )

    def remembered(self) -> dict[str, Any]:
        """Return what checkpoints keep: the file, and values other than the default."""
        file = self.checkpoint
        memory: dict[str, Any] = dict(
            teacher=osp.abspath(file) if osp.exists(file) else file
        )
        for field in dataclasses.fields(self)[2:]:
            value = getattr(self, field.name)
            # a file's state_dict is what is taken where weights= says nothing
            if value not in (field.default, 'state_dict'):
                memory[f'teacher {field.name.replace("_", " ")}'] = value
        return memory


@dataclasses.dataclass(frozen=True)
class ReviewSettings:
    """Settings in ``review=dict(...)``, see :class:`Review`.

    Args:
        weight (float | str): Weight of the loss, >= 0, 0 for none; or ``'auto'``.
        mid_channels (int, optional): Channels of the residuals.
        fusion (str): ``'abf'``, ``'sum'``, ``'pairs'`` or ``'none'``.
        distance (str): ``'hcl'`` or ``'l2'``.
        precision (str, optional): ``'bfloat16'`` to compute the review in it.
        compile (bool): Whether ``torch.compile`` compiles the review.
        share (float, optional): How strongly a review with ``weight='auto'`` pulls.

    Raises:
        UserInputError: A value cannot be used; the message names it.
    """

    weight: Union[float, str]
    mid_channels: Optional[int] = None
    fusion: str = 'abf'
    distance: str = 'hcl'
    precision: Optional[str] = None
    compile: bool = False
    share: Optional[float] = None

    def __post_init__(self) -> None:
        check_precision('review', self.precision)
        if not isinstance(self.compile, bool):
            raise UserInputError(
                f'review=dict(compile={self.compile!r}): must be True or False'
            )
        if self.weight != 'auto':
            published = ", or 'auto' (published: 1.0 for Faster R-CNN R101-R50)"
            check_weight(self.weight, 'review', 'the review loss', published)

    def method(self) -> dict[str, Any]:
        """Return the config of the method."""
        return dict(
            type='Review',
            weight='auto' if self.weight == 'auto' else float(self.weight),
            mid_channels=self.mid_channels,
            fusion=self.fusion,
            distance=self.distance,
            precision=self.precision,
            compile=self.compile,
            share=self.share,
        )


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of a distillation: the teacher, the methods and the levels.

    Args:
        teacher (TeacherSettings): Settings of the teacher.
        methods (Mapping[str, dict]): Configs of the methods by name, in loss order.
        strides (Sequence[int], optional): Strides of the levels; None takes all.
        part (str): Where the levels of detectors are: ``'neck'`` or ``'backbone'``.
        inherit (Sequence[str]): Parts that the student copies from the teacher.

    Raises:
        UserInputError: A value cannot be used; the message names it.
    """

    teacher: TeacherSettings
    methods: Mapping[str, dict]
    strides: Optional[Sequence[int]]
    part: str
    inherit: Sequence[str]

    def __post_init__(self) -> None:
        if self.strides is not None and not _are_strides(self.strides):
            raise SettingError(
                '{}: must be a list of different whole numbers > 0, in pixels, '
                'such as [8, 16, 32]; left out, all levels take part',
                'ReviewKD',
                'strides',
                self.strides,
            )
        if self.part not in ('neck', 'backbone'):
            raise SettingError(
                "{}: must be 'neck' or 'backbone'", 'ReviewKD', 'part', self.part
            )

    def remembered(self) -> dict[str, Any]:
        """Return what checkpoints keep, besides the settings of the method itself."""
        memory = self.teacher.remembered()
        if self.part != 'neck':
            memory['features'] = self.part  # its name in earlier checkpoints
        for name, config in self.methods.items():
            if name != 'review':
                memory[name] = dict(config, type=type_name(config))
        return memory


def read_settings(
    teacher: Any,
    review: Optional[dict] = None,
    logits: Optional[dict] = None,
    methods: Optional[dict] = None,
    strides: Optional[Sequence[int]] = None,
    part: Optional[str] = None,
    inherit: Union[str, Sequence[str]] = (),
) -> Settings:
    """Read the settings of a config, see :func:`ReviewKD`.

    Earlier configs also set the levels in ``review``.

    Raises:
        UserInputError: A key is unknown or missing, or a value cannot be used.
    """
    chosen_teacher = filled(TeacherSettings, 'teacher', teacher)
    for name, given in (('logits', logits), ('methods', methods)):
        if given is not None and not isinstance(given, dict):
            raise UserInputError(f'{name}={given!r}: must be a dict')
    for name, given in (('review', review), ('logits', logits)):
        if given and name in (methods or {}):
            raise UserInputError(
                f'methods.{name} and {name} are two settings of one method; leave '
                'one out'
            )
    chosen = dict(logits=logits) if logits else {}
    # None drops the method of a base config
    chosen.update(
        {name: cfg for name, cfg in (methods or {}).items() if cfg is not None}
    )
    if review is not None or not chosen:
        review, strides, part = _levels_apart(review, strides, part)
        chosen['review'] = filled(ReviewSettings, 'review', review).method()
    parts = [inherit] if isinstance(inherit, str) else inherit
    if not isinstance(parts, (list, tuple)) or not all(
        isinstance(p, str) for p in parts
    ):
        raise UserInputError(
            f'inherit={inherit!r}: must be names of parts, such as ("neck", )'
        )
    return Settings(
        chosen_teacher, chosen, strides, 'neck' if part is None else part, parts
    )


def _levels_apart(
    review: Any, strides: Optional[Sequence[int]], part: Optional[str]
) -> tuple[Any, Optional[Sequence[int]], Optional[str]]:
    """Take ``strides`` and ``features`` out of ``review``, where they used to be set.

    Raises:
        UserInputError: One of them is set in both places.
    """
    if not isinstance(review, dict):
        return review, strides, part
    review = dict(review)
    old_strides, old_part = review.pop('strides', None), review.pop('features', None)
    for new, old, name, was in (
        (strides, old_strides, 'strides', 'strides'),
        (part, old_part, 'part', 'features'),
    ):
        if new is not None and old is not None:
            raise UserInputError(
                f'ReviewKD({name}={new!r}) and review=dict({was}={old!r}) are two '
                'settings of one thing; leave the latter out'
            )
    return (
        review,
        old_strides if strides is None else strides,
        old_part if part is None else part,
    )


def check_weight(weight: Any, owner: str, what: str, published: str = '') -> None:
    """Refuse a weight that is no number >= 0.

    Raises:
        SettingError: The message names the setting, ``owner=dict(weight=...)``.
    """
    is_number = isinstance(weight, (int, float)) and not isinstance(weight, bool)
    if not is_number or not 0 <= weight < math.inf:
        raise SettingError(
            f'{{}}: the weight of {what} must be a number >= 0{published}',
            owner,
            'weight',
            weight,
        )


def _are_names(given: Any) -> bool:
    return (
        isinstance(given, (list, tuple))
        and len(given) > 0
        and all(isinstance(name, str) for name in given)
    )


def _are_strides(given: Any) -> bool:
    return (
        isinstance(given, (list, tuple))
        and len(given) > 0
        and all(type(stride) is int and stride > 0 for stride in given)
        and len(set(given)) == len(given)
    )
