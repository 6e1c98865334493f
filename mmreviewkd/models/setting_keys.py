"""Keys of settings that are unknown or missing, told with what was meant."""

import dataclasses
import inspect
from typing import Any, Callable

from ..errors import UserInputError, near


def filled(kind: Any, name: str, given: Any) -> Any:
    """Build the dataclass of a config's dict, if the dict has the right keys.

    Args:
        kind (type): The dataclass; its fields are the known keys.
        name (str): Name of the setting, for messages.
        given (dict, optional): The dict.

    Raises:
        UserInputError: ``given`` is no dict, or a key is unknown or missing.
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
    """Refuse settings that ReviewKD does not have.

    Args:
        unknown (dict): The unknown settings.
        function (Callable): The function that takes the known settings.

    Raises:
        UserInputError: There is an unknown setting.
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
