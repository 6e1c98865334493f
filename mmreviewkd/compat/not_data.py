"""What a checkpoint must not hold, and how it is refused."""
from typing import Any, Iterable, NamedTuple


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


def short(value: Any) -> str:
    """A value for a message, without a look into containers.

    A few bytes of a pickle can be a tuple whose representation has no end.
    """
    if isinstance(value, Name):
        return value.path
    if type(value) in (str, int, float, bool, type(None)):
        return f'{value!r:.60}'
    return type(value).__name__


def expect(condition: bool, name: str, reason: str) -> None:
    """Raise :class:`NotData` unless a condition holds."""
    if not condition:
        raise NotData(name, reason)


def are_keys(values: Iterable) -> bool:
    """Whether values can be keys of a dict.

    Plain ones alone can: Python's hash of a deeply nested tuple overflows the
    stack of the process.
    """
    plain = (str, int, float, bool, type(None))
    return all(
        type(value) in plain or type(value) is tuple and all(
            type(item) in plain for item in value) for value in values)


def is_size(value: Any) -> bool:
    """Whether a value is a tuple of whole numbers from 0 on."""
    return isinstance(value, tuple) and all(
        type(n) is int and 0 <= n < 2**63 for n in value)
