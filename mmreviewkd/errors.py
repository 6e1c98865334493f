"""Mistakes that the user can correct, and how they read."""

import difflib
from collections.abc import Iterable, Sequence
from typing import Any


class UserInputError(ValueError):
    """A config, path, checkpoint or dataset that cannot be used as given.

    The message names what was given and what was expected; commands print it
    as one line instead of a traceback.
    """


class MissingFileError(UserInputError, FileNotFoundError):
    """A file of the user's is not there."""


class SettingError(UserInputError):
    """A setting of the distillation is wrong, or another would mend a fault.

    A tool that has a flag for it puts the flag into ``message`` instead.

    Args:
        message (str): It has ``{}`` where the setting is named.
        owner (str): The dict that it stands in, as ``'teacher'``, or ``'ReviewKD'``.
        name (str): The key in that dict.
        value: Its value.
    """

    def __init__(self, message: str, owner: str, name: str, value: Any) -> None:
        made_by = owner if owner == 'ReviewKD' else f'{owner}=dict'
        super().__init__(message.replace('{}', f'{made_by}({name}={value!r})'))
        self.message, self.name, self.value = message, name, value


class UnreadableImageError(UserInputError):
    """An image of the data cannot be opened or decoded."""


def in_one_line(error: Exception) -> str:
    """What an error says, also where a data loader's worker met it.

    torch raises such an error anew, with the worker's traceback for its
    message, whose last line is the error's own.
    """
    message = str(error).strip()
    if not message.startswith(f'Caught {type(error).__name__} in '):
        return message
    return message.splitlines()[-1].partition(': ')[2]


def few(names: Sequence[str]) -> str:
    """The first names of a list that may be long, and how many there are."""
    return ', '.join(str(name) for name in names[:3]) + (
        f', ... {len(names)} in all' if len(names) > 3 else ''
    )


def near(name: str, known: Iterable[str]) -> str:
    """An ending for messages: the known names closest to one, in any case."""
    by_lower = {each.lower(): each for each in known}
    found = difflib.get_close_matches(name.lower(), by_lower, 3)
    return (
        '; near names: ' + ', '.join(by_lower[each] for each in found) if found else ''
    )
