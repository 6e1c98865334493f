"""What a checkpoint must not hold, and how it is refused."""

from collections.abc import Iterable
from typing import Any, NamedTuple


class NotData(Exception):
    """A pickle holds something that is not plain data.

    Args:
        name (str): What was refused, ``'os.system'`` for one.
        reason (str, optional): Why, where its name alone does not tell.
    """

    def __init__(self, name: str, reason: str = '') -> None:
        super().__init__(f'{name}: {reason}' if reason else name)
        self.name, self.reason = name, reason


class Name(NamedTuple):
    """A global name of a pickle; it is looked up, never imported."""

    path: str


def printable(text: str, length: int = 80) -> str:
    """A text of a file's for a message of one line: its beginning, escaped."""
    return ''.join(
        letter if letter.isprintable() else f'\\x{ord(letter):02x}'
        for letter in text[:length]
    )


def short(value: Any) -> str:
    """A value for a message, without a look into containers.

    A few bytes of a pickle can be a tuple whose representation has no end.
    """
    if isinstance(value, Name):
        return value.path
    if type(value) in (str, int, float, bool, type(None)):
        return printable(repr(value))
    return type(value).__name__


def expect(condition: bool, name: str, reason: str) -> None:
    """Raise :class:`NotData` unless a condition holds."""
    if not condition:
        raise NotData(name, reason)


def are_keys(values: Iterable) -> bool:
    """Whether values can be keys of a dict.

    Plain ones alone can: Python's hash of a deeply nested tuple overflows the
    stack of the process, and numbers can be chosen whose hashes are all the
    same.
    """
    return all(
        _is_key(value)
        or (type(value) is tuple and len(value) <= 8 and all(map(_is_key, value)))
        for value in values
    )


def _is_key(value: Any) -> bool:
    return type(value) in (str, bool, type(None)) or (
        type(value) is int and abs(value) < 2**60
    )


def is_size(value: Any) -> bool:
    """Whether a value is a tuple of some whole numbers from 0 on."""
    return (
        isinstance(value, tuple)
        and len(value) <= 64
        and all(type(n) is int and 0 <= n < 2**63 for n in value)
    )
