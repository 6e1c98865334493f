"""Reads a pickle as data: nothing in it is imported, called or changed."""

import os
import pickletools
from collections import OrderedDict
from typing import Any, BinaryIO, Callable, Optional

from .not_data import Name, NotData, are_keys, expect, short
from .plain_data import OBJECTS, call, global_name, state_setter


def unpickle(
    file: BinaryIO, persistent_load: Optional[Callable[[Any], Any]] = None
) -> Any:
    """Read one pickle as data.

    Args:
        file (BinaryIO): The file; its position is then behind the pickle.
        persistent_load (Callable, optional): Returns the object of a persistent
            id, as for :class:`pickle.Unpickler`.

    Raises:
        NotData: The pickle contains something other than data.
        Exception: There is no pickle at this position, or it is damaged. Nearly
            any type of error may be raised.
    """
    start = file.tell()
    length = file.seek(0, os.SEEK_END) - start
    file.seek(start)
    result = _Machine(persistent_load, length).run(file)
    _check_structure(result, length)
    return result


def _check_structure(result: Any, length: int) -> None:
    """Refuse objects that programs cannot walk through.

    A container may contain itself, be nested a thousand levels deep, or occur so often
    in others that a walk through a few bytes never ends.

    Args:
        result: Object made from a pickle.
        length (int): Bytes of the pickle, or more.
    """
    walks: dict[int, int] = {}  # number of values in each finished container
    path: dict[int, Any] = {}  # containers around the current value
    todo = [(result, False)]
    while todo:
        value, is_left = todo.pop()
        if not isinstance(value, (dict, list, tuple)) or id(value) in walks:
            continue
        children = (
            [*value.keys(), *value.values()] if isinstance(value, dict) else value
        )
        if is_left:
            del path[id(value)]
            walks[id(value)] = 1 + sum(walks.get(id(child), 1) for child in children)
            if walks[id(value)] > 16 * length + 10**6:
                raise ValueError('its containers hold each other too often')
            continue
        if id(value) in path or len(path) > 100:
            raise ValueError('its containers lie in each other without end')
        path[id(value)] = value
        todo.append((value, True))
        todo.extend((child, False) for child in children)


class _Machine:
    """Pickle machine with only the opcodes that data need."""

    VALUES = {
        'BININT',
        'BININT1',
        'BININT2',
        'LONG1',
        'BINFLOAT',
        'BINUNICODE',
        'BINSTRING',
        'SHORT_BINSTRING',
        'SHORT_BINUNICODE',
        'BINUNICODE8',
        'BINBYTES',
        'SHORT_BINBYTES',
        'BINBYTES8',
    }
    CONSTANTS = dict(NONE=None, NEWTRUE=True, NEWFALSE=False)
    EMPTY = dict(EMPTY_DICT=dict, EMPTY_LIST=list, EMPTY_TUPLE=tuple)
    TUPLES = dict(TUPLE1=1, TUPLE2=2, TUPLE3=3)

    def __init__(self, persistent_load: Optional[Callable], length: int) -> None:
        self.persistent_load = persistent_load
        self.budget = 16 * length + 10**6
        """Number of bytes and items that may still be passed to calls."""
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.unfilled: dict[int, Any] = {}
        """Objects whose state is not set yet, by identity."""
        self.handlers = dict(
            BINPUT=self.put,
            LONG_BINPUT=self.put,
            MEMOIZE=lambda _: self.put(len(self.memo)),
            BINGET=self.get,
            LONG_BINGET=self.get,
            MARK=lambda _: self.marks.append(len(self.stack)),
            TUPLE=lambda _: self.stack.append(tuple(self.pop_to_mark())),
            APPEND=lambda _: self.extend(self.pop(1)),
            APPENDS=lambda _: self.extend(self.pop_to_mark()),
            SETITEM=lambda _: self.update(self.pop(2)),
            SETITEMS=lambda _: self.update(self.pop_to_mark()),
            GLOBAL=lambda path: self.stack.append(global_name(path)),
            REDUCE=lambda _: self.push_made(self.call(*self.pop(2))),
            NEWOBJ=lambda _: self.push_made(self.make(*self.pop(2))),
            BUILD=lambda _: self.build(*self.pop(1)),
            BINPERSID=lambda _: self.load_persistent(*self.pop(1)),
            # opcodes of protocol 4, which torch.save can be asked to write
            STACK_GLOBAL=lambda _: self.push_global(*self.pop(2)),
            PROTO=lambda number: None,
            FRAME=lambda length: None,
        )

    def run(self, file: BinaryIO) -> Any:
        for opcode, argument, _ in pickletools.genops(file):
            name = opcode.name
            if name in self.VALUES:
                self.stack.append(argument)
            elif name in self.handlers:
                self.handlers[name](argument)
            elif name in self.TUPLES:
                self.stack.append(tuple(self.pop(self.TUPLES[name])))
            elif name in self.EMPTY:
                self.stack.append(self.EMPTY[name]())
            elif name in self.CONSTANTS:
                self.stack.append(self.CONSTANTS[name])
            elif name != 'STOP':
                raise ValueError(f'pickle opcode {name}, which data need not')
        (result,) = self.stack
        return result

    def put(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    def get(self, index: int) -> None:
        self.stack.append(self.memo[index])

    def pop(self, count: int) -> list:
        floor = self.marks[-1] if self.marks else 0
        if len(self.stack) - floor < count:
            raise ValueError('the stack of the pickle is empty')
        taken = self.stack[-count:]
        del self.stack[-count:]
        return taken

    def pop_to_mark(self) -> list:
        mark = self.marks.pop()
        taken = self.stack[mark:]
        del self.stack[mark:]
        return taken

    def extend(self, items: list) -> None:
        into = self.stack[-1]
        expect(type(into) is list, short(into), 'something is appended to it')
        into.extend(items)

    def update(self, items: list) -> None:
        into = self.stack[-1]
        expect(type(into) in (dict, OrderedDict), short(into), 'items are set in it')
        expect(
            len(items) % 2 == 0 and are_keys(items[::2]),
            'dict',
            'its keys are no plain values',
        )
        into.update(zip(items[::2], items[1::2]))

    def call(self, function: Any, args: Any) -> Any:
        self.charge(args)
        return call(function, args)

    def charge(self, values: Any) -> None:
        """Limit the data passed to calls; a large value may be passed many times."""
        for value in (values, *values) if type(values) is tuple else (values,):
            if isinstance(value, (str, bytes, list, tuple, dict)):
                self.budget -= len(value)
        if self.budget < 0:
            raise ValueError('it makes more of its bytes than there are')

    def make(self, kind: Any, args: Any) -> Any:
        expect(
            isinstance(kind, Name) and kind.path in OBJECTS and args == (),
            short(kind),
            'an object of it is made',
        )
        return OBJECTS[kind.path]()

    def push_global(self, module: Any, name: Any) -> None:
        expect(
            type(module) is str and type(name) is str, 'a global name', 'it is no text'
        )
        self.stack.append(global_name(f'{module} {name}'))

    def push_made(self, made: Any) -> None:
        if state_setter(made):
            self.unfilled[id(made)] = made
        self.stack.append(made)

    def build(self, state: Any) -> None:
        made = self.stack[-1]
        self.charge(state)
        fill = state_setter(made)
        if fill is None or self.unfilled.pop(id(made), None) is None:
            raise NotData(short(made), 'its state is set')
        fill(made, state)

    def load_persistent(self, reference: Any) -> None:
        if self.persistent_load is None:
            raise NotData('a persistent id', 'there is nothing that it could name')
        self.stack.append(self.persistent_load(reference))
