"""What a config says of a distillation, checked before models are built."""

import inspect
import math
from collections.abc import Sequence
from typing import Any, Callable, Optional

from ..errors import SettingError, UserInputError, near


def review_settings(
    weight: Optional[float] = None,
    strides: Optional[Sequence[int]] = None,
    features: str = 'neck',
    mid_channels: Optional[int] = None,
    fusion: str = 'abf',
    distance: str = 'hcl',
) -> tuple[float, Optional[Sequence[int]], str, dict[str, Any]]:
    """Check what stands in ``review=dict(...)``.

    Returns:
        tuple: Weight, strides, part of the models, and the rest for
        :class:`Review`.

    Raises:
        UserInputError: A value cannot be used; it is named.
    """
    if not isinstance(weight, (int, float)) or not 0 <= weight < math.inf:
        raise SettingError(
            '{}: the weight of the review loss must be a number >= 0 '
            '(published: 1.0 for Faster R-CNN R101-R50)',
            'review',
            'weight',
            weight,
        )
    if strides is not None and not _are_strides(strides):
        raise SettingError(
            '{}: must be a list of different whole numbers > 0, in pixels, '
            'such as [8, 16, 32]; left out, all levels take part',
            'review',
            'strides',
            strides,
        )
    if features not in ('neck', 'backbone'):
        raise UserInputError(
            f"review=dict(features={features!r}): must be 'neck' or 'backbone'"
        )
    return (
        float(weight),
        strides,
        features,
        dict(mid_channels=mid_channels, fusion=fusion, distance=distance),
    )


def _are_strides(given: Any) -> bool:
    return (
        isinstance(given, (list, tuple))
        and len(given) > 0
        and all(type(stride) is int and stride > 0 for stride in given)
        and len(set(given)) == len(given)
    )


def arguments_of(function: Callable, name: str, given: Any) -> dict:
    """``given``, if it is what ``function`` takes.

    Args:
        function (Callable): Its signature says what may be given.
        name (str): Of the setting; for the message.
        given (dict, optional): The setting.

    Raises:
        UserInputError: It is no dict, or a key is unknown or missing, or a
            value is of another type.
    """
    parameters = {
        key: parameter
        for key, parameter in inspect.signature(function).parameters.items()
        if key != 'self' and parameter.kind is not parameter.KEYWORD_ONLY
    }
    for key, value in given.items() if isinstance(given, dict) else ():
        annotation: Any = parameters[key].annotation if key in parameters else None
        kinds = getattr(annotation, '__args__', (annotation,))
        if str in kinds and not isinstance(value, kinds):
            raise UserInputError(
                f'{name}=dict({key}={value!r}): must be '
                + ' or '.join(k.__name__ for k in kinds if k is not type(None))
            )
    example = ', '.join(f'{key}=...' for key in parameters)
    if not isinstance(given, dict):
        raise UserInputError(f'ReviewKD needs {name}=dict({example})')
    unknown = sorted(set(given) - set(parameters))
    missing = sorted(
        key
        for key, parameter in parameters.items()
        if parameter.default is parameter.empty and key not in given
    )
    if unknown or missing:
        raise UserInputError(
            f'{name}=dict({example}): '
            + '; '.join(
                f'{problem} {", ".join(keys)}'
                for problem, keys in (('unknown', unknown), ('missing', missing))
                if keys
            )
        )
    return given


def refuse_unknown(unknown: dict, function: Callable) -> None:
    """Name a setting that ReviewKD does not have, and what was meant.

    Args:
        unknown (dict): What its constructor does not take.
        function (Callable): The constructor.

    Raises:
        UserInputError: There is any.
    """
    known = [
        key
        for key, parameter in inspect.signature(function).parameters.items()
        if key != 'self' and parameter.kind is not parameter.VAR_KEYWORD
    ]
    for key in unknown:
        raise UserInputError(
            f'ReviewKD has no {key}'
            + (near(key, known) or f'; it takes {", ".join(known)}')
        )
