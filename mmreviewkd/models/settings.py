"""What a config says of a distillation, checked before any model is built."""

import dataclasses
import inspect
import math
import os.path as osp
from collections.abc import Mapping, Sequence
from typing import Any, Callable, Optional, Union

from ..errors import SettingError, UserInputError, near


@dataclasses.dataclass(frozen=True)
class TeacherSettings:
    """What stands in ``teacher=dict(...)``.

    Args:
        config (str | dict): Path of the teacher's config, ``'mmdet::...'`` or
            ``'mmreviewkd::...'`` for one that mmdet or this package ships, or
            the model's dict itself.
        checkpoint (str): File or URL of its weights.
        scale (float): Side of the images that it sees, as a multiple of the
            student's. Levels then belong together where they are of one size,
            to the nearest power of two.
        weights (str, optional): The entry of the checkpoint which holds them,
            such as ``'ema_state_dict'``. By default it is ``'state_dict'``,
            ``'model'`` or, where there is neither, the file itself.

    Raises:
        UserInputError: A value cannot be used; it is named.
    """

    config: Union[str, dict]
    checkpoint: str
    scale: float = 1.0
    weights: Optional[str] = None

    def __post_init__(self) -> None:
        for name, kinds in (
            ('config', (str, dict)),
            ('checkpoint', (str,)),
            ('weights', (str, type(None))),
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

    def remembered(self) -> dict[str, Any]:
        """What a checkpoint says of them: the file, and what is not as usual."""
        file = self.checkpoint
        memory: dict[str, Any] = dict(
            teacher=osp.abspath(file) if osp.exists(file) else file
        )
        if self.weights not in (None, 'state_dict'):
            memory['teacher weights'] = self.weights
        if self.scale != 1:
            memory['teacher scale'] = self.scale
        return memory


@dataclasses.dataclass(frozen=True)
class ReviewSettings:
    """What stands in ``review=dict(...)``, of the method of that name.

    Args:
        weight (float): Of the review loss, >= 0; with 0 it is not computed.
        mid_channels (int, optional): As :class:`Review` takes it.
        fusion (str): As :class:`Review` takes it.
        distance (str): As :class:`Review` takes it.

    Raises:
        UserInputError: A value cannot be used; it is named.
    """

    weight: float
    mid_channels: Optional[int] = None
    fusion: str = 'abf'
    distance: str = 'hcl'

    def __post_init__(self) -> None:
        check_weight(
            self.weight,
            'review',
            'the review loss',
            ' (published: 1.0 for Faster R-CNN R101-R50)',
        )

    def method(self) -> dict[str, Any]:
        """The config of the method."""
        return dict(
            type='Review',
            weight=float(self.weight),
            mid_channels=self.mid_channels,
            fusion=self.fusion,
            distance=self.distance,
        )


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is learned, from whom, and from which levels.

    Args:
        teacher (TeacherSettings): The teacher's.
        methods (Mapping[str, dict]): Configs of the methods, by name, in the order in
            which their losses are added.
        strides (Sequence[int], optional): Levels that take part; all by default.
        part (str): Of detectors, where the levels are.
        inherit (Sequence[str]): Parts of the teacher that the student starts with.

    Raises:
        UserInputError: A value cannot be used; it is named.
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
        """What a checkpoint says of a distillation besides a method's own settings."""
        memory = self.teacher.remembered()
        if self.part != 'neck':
            memory['features'] = self.part  # as it was called at first
        for name, config in self.methods.items():
            if name != 'review':
                memory[name] = dict(config)
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
    """Bring what a config says into one form.

    ``review`` and ``logits`` are the methods of these names. In configs of before,
    ``review`` says as well which levels take part.

    Raises:
        UserInputError: A key is unknown or missing, or a value cannot be used; it is
            named.
    """
    chosen_teacher = _filled(TeacherSettings, 'teacher', teacher)
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
    chosen.update(methods or {})
    if review is not None or not chosen:
        review, strides, part = _levels_apart(review, strides, part)
        chosen['review'] = _filled(ReviewSettings, 'review', review).method()
    parts = [inherit] if isinstance(inherit, str) else list(inherit)
    return Settings(
        chosen_teacher, chosen, strides, 'neck' if part is None else part, parts
    )


def _levels_apart(
    review: Any, strides: Optional[Sequence[int]], part: Optional[str]
) -> tuple[Any, Optional[Sequence[int]], Optional[str]]:
    """``review`` without ``strides`` and ``features``, which stood in it at first.

    Raises:
        UserInputError: They are set in both places.
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
    """Refuse a weight that is no number.

    Raises:
        SettingError: It names the setting, ``owner=dict(weight=...)``.
    """
    if not isinstance(weight, (int, float)) or not 0 <= weight < math.inf:
        raise SettingError(
            f'{{}}: the weight of {what} must be a number >= 0{published}',
            owner,
            'weight',
            weight,
        )


def _are_strides(given: Any) -> bool:
    return (
        isinstance(given, (list, tuple))
        and len(given) > 0
        and all(type(stride) is int and stride > 0 for stride in given)
        and len(set(given)) == len(given)
    )


def _filled(kind: Any, name: str, given: Any) -> Any:
    """The settings in a config's dict, if it has the right keys.

    Args:
        kind (type): The dataclass; its fields say what may be given.
        name (str): Of the setting; for the message.
        given (dict, optional): The setting.

    Raises:
        UserInputError: It is no dict, or a key is unknown or missing.
    """
    fields = {field.name: field for field in dataclasses.fields(kind)}
    example = ', '.join(f'{key}=...' for key in fields)
    if not isinstance(given, dict):
        raise UserInputError(f'ReviewKD needs {name}=dict({example})')
    unknown = sorted(set(given) - set(fields))
    missing = sorted(
        key
        for key, field in fields.items()
        if field.default is dataclasses.MISSING and key not in given
    )
    if unknown or missing:
        raise UserInputError(
            f'{name}=dict({example}): '
            + '; '.join(
                f'{problem} {", ".join(keys)}'
                for problem, keys in (('unknown', unknown), ('missing', missing))
                if keys
            )
            + ''.join(near(key, fields) for key in unknown)
        )
    return kind(**given)


def refuse_unknown(unknown: dict, function: Callable) -> None:
    """Name a setting that ReviewKD does not have, and what was meant.

    Args:
        unknown (dict): What it does not take.
        function (Callable): What takes the settings.

    Raises:
        UserInputError: There is any.
    """
    known = [
        key
        for key, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is not parameter.VAR_KEYWORD
    ]
    for key in unknown:
        raise UserInputError(
            f'ReviewKD has no {key}'
            + (near(key, known) or f'; it takes {", ".join(known)}')
        )
