"""Errors that the user can correct, and the wording of their messages."""

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any


class UserInputError(ValueError):
    """A config, path, checkpoint or dataset cannot be used as it was given.

    The message names what was given and what was expected. Commands print it
    as one line instead of a traceback.
    """


class MissingFileError(UserInputError, FileNotFoundError):
    """A file that the user named does not exist."""


class MissingPackageError(UserInputError):
    """A package is missing that a file or a setting asks for."""


class SettingError(UserInputError):
    """A setting of the distillation is wrong, or another value would solve a problem.

    A command with a flag for the setting shows the flag in the message instead.

    Args:
        message (str): Message with ``{}`` in place of the setting.
        owner (str): Dict that contains it, such as ``'teacher'``, or ``'ReviewKD'``.
        name (str): Key in that dict.
        value: Value of the setting.

    Examples:
        >>> print(SettingError('{}: must be a number > 0', 'teacher', 'scale', 0))
        teacher=dict(scale=0): must be a number > 0
    """

    def __init__(self, message: str, owner: str, name: str, value: Any) -> None:
        made_by = owner if owner == 'ReviewKD' else f'{owner}=dict'
        super().__init__(message.replace('{}', f'{made_by}({name}={value!r})'))
        self.message, self.name, self.value = message, name, value


class UnreadableImageError(UserInputError):
    """An image of the dataset cannot be opened or decoded."""


def in_one_line(error: Exception) -> str:
    """Return an error's message as one line, also if a data loader's worker raised it.

    torch raises such an error again with the worker's traceback as its message; the
    original message follows the name of its class, at the end. What other packages say
    is a part of some messages, and may have several lines.
    """
    message, name = str(error).strip(), type(error).__name__
    if message.startswith(f'Caught {name} in '):
        message = re.split(rf'^(?:\w+\.)*{name}: ', message, flags=re.MULTILINE)[-1]
    return re.sub(r'\s*\n\s*', ' ', message)


def few(names: Sequence[str], limit: int = 3) -> str:
    """Return the first names of a list that may be long, and their number."""
    return ', '.join(str(name) for name in names[:limit]) + (
        f', ... {len(names)} in all' if len(names) > limit else ''
    )


def near(name: str, known: Iterable[str]) -> str:
    """Return an ending for messages with the known names most similar to ``name``."""
    by_lower = {each.lower(): each for each in known}
    found = difflib.get_close_matches(name.lower(), by_lower, 3)
    return (
        '; near names: ' + ', '.join(by_lower[each] for each in found) if found else ''
    )
