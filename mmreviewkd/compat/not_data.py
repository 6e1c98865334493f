"""The error for a checkpoint with more than data in it, and its checks."""

from collections.abc import Iterable
from typing import Any, NamedTuple


class NotData(Exception):
    """A pickle contains something that is not plain data.

    Args:
        name (str): Name of what was refused, such as ``'os.system'``.
        reason (str, optional): Reason, if the name alone does not explain it.
    """

    def __init__(self, name: str, reason: str = '') -> None:
        super().__init__(f'{name}: {reason}' if reason else name)
        self.name, self.reason = name, reason


class Name(NamedTuple):
    """A global name in a pickle; it is looked up, never imported."""

    path: str


def printable(text: str, length: int = 80) -> str:
    """Escape and shorten a text from a file for a one-line message."""
    return ''.join(
        letter if letter.isprintable() else f'\\x{ord(letter):02x}'
        for letter in text[:length]
    )


def short(value: Any) -> str:
    """Describe a value in a message, without looking into containers.

    A few bytes of a pickle can make a tuple with an endless representation.
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
    """Whether values can safely be keys of a dict.

    Only plain values can. Python's hash of a deeply nested tuple overflows the stack of
    the process, and numbers can be chosen so that all their hashes are equal.
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
    """Whether a value is a tuple of a few integers >= 0."""
    return (
        isinstance(value, tuple)
        and len(value) <= 64
        and all(type(n) is int and 0 <= n < 2**63 for n in value)
    )
