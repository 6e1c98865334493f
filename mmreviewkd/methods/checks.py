"""What methods refuse when they are built."""

from __future__ import annotations

from typing import Any

from ..errors import UserInputError
from .method import Pair


def need_maps(method: str, pair: Pair) -> list[int]:
    """Return the indices of the levels that are maps, for a method that compares maps.

    Args:
        method (str): Name of the method's class, for the message.
        pair (Pair): The student and the teacher.

    Raises:
        UserInputError: All levels are vectors.
    """
    if not pair.maps:
        raise UserInputError(
            f'{method} compares maps, and all levels of this pair are vectors: '
            f'{", ".join(pair.levels)}; choose others with levels=[...]'
        )
    return list(pair.maps)


def check_numbers(
    method: str, above: bool = True, whole: bool = False, **settings: Any
) -> None:
    """Refuse settings of a method that are not numbers from 0 on.

    Args:
        method (str): Name of the method's class, for the message.
        above (bool): Whether 0 itself is refused, too.
        whole (bool): Whether fractions are refused, too.
        **settings: Values by the names of the settings.

    Raises:
        UserInputError: A setting is no number, or too small. The message names it.
    """
    kinds, number = ((int,), 'whole number') if whole else ((int, float), 'number')
    for name, value in settings.items():
        right = isinstance(value, kinds) and not isinstance(value, bool)
        if not right or not (value > 0 if above else value >= 0):
            sign = '>' if above else '>='
            raise UserInputError(
                f'{method}({name}={value!r}): must be a {number} {sign} 0'
            )


def check_flags(method: str, **settings: Any) -> None:
    """Refuse settings of a method that are neither True nor False.

    Args:
        method (str): Name of the method's class, for the message.
        **settings: Values by the names of the settings.

    Raises:
        UserInputError: A setting is something else, such as ``'no'``, which Python
            takes for true. The message names it.
    """
    for name, value in settings.items():
        if not isinstance(value, bool):
            raise UserInputError(f'{method}({name}={value!r}): must be True or False')
