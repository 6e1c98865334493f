"""The names that a checkpoint may contain, each with its only use.

``torch.load(weights_only=True)`` has a list of names too, but does not control how
they are used: ``numpy.ndarray``, which mmengine's logs need, may be *called*
with bytes as object pointers. Before torch 2.6, the list cannot be extended. Here
a name is never imported: it is an entry of :data:`CALLS` or :data:`OBJECTS`, and
the function there checks its arguments.
"""

import _compat_pickle
import math
import re
from collections import Counter, OrderedDict
from collections.abc import Sequence
from typing import Any, Callable, Optional

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

from . import plain_tensors
from .internals import set_module_versions
from .not_data import Name, NotData, are_keys, expect, is_size, short


# --------------------------------------------------------------- of numpy
def _dtype(code: str, align: bool = False, copy: bool = True) -> np.dtype:
    expect(
        type(code) is str
        and re.fullmatch('b1|[iu][1248]|f[248]|c(8|16)', code) is not None,
        'numpy.dtype',
        f'{short(code)} is no type of plain numbers',
    )
    # a copy, since its byte order is set later
    return np.dtype(code, False, True)


def _set_byte_order(dtype: np.dtype, state: tuple) -> None:
    expect(
        type(state) is tuple
        and len(state) == 8
        and state[:1] == (3,)
        and type(state[1]) is str
        and state[1] in ('<', '>', '|', '=')
        and state[2:] == (None, None, None, -1, -1, 0),
        'numpy.dtype',
        'its state is not that of plain numbers',
    )
    dtype.__setstate__(state)


def _empty_array(kind: Name, shape: tuple, code: bytes) -> np.ndarray:
    expect(
        kind == Name('numpy.ndarray') and shape == (0,) and code == b'b',
        'numpy._reconstruct',
        'its arguments are not those of an array',
    )
    return np.empty(0, 'b')


def _fill_array(array: np.ndarray, state: tuple) -> None:
    name = 'numpy.ndarray'
    expect(
        type(state) is tuple
        and len(state) == 5
        and state[:1] == (1,)
        and type(state[3]) is bool,
        name,
        'its state is none of an array',
    )
    _, shape, dtype, _, data = state
    expect(
        is_size(shape)
        and len(shape) <= 32
        and isinstance(dtype, np.dtype)
        and type(data) is bytes,
        name,
        'its state is not a shape, a type and bytes',
    )
    expect(
        math.prod(shape) * dtype.itemsize == len(data),
        name,
        'its bytes are not those of its shape',
    )
    array.__setstate__(state)


def _scalar(dtype: np.dtype, data: bytes) -> np.generic:
    expect(
        isinstance(dtype, np.dtype)
        and type(data) is bytes
        and len(data) == dtype.itemsize,
        'numpy.scalar',
        'its arguments are not a type and its bytes',
    )
    return np.frombuffer(data, dtype)[0]


# ------------------------------------------------- of mmengine and Python
def _empty_history() -> HistoryBuffer:
    return HistoryBuffer([], [])


def _statistic(owner: Name, name: str) -> None:
    """Accept the lookup of a HistoryBuffer's method, which every buffer has anyway."""
    expect(
        owner == Name(_HISTORY) and name in ('min', 'max', 'current', 'mean'),
        'getattr',
        f'of {short(owner)}',
    )


def _fill_history(history: HistoryBuffer, state: dict) -> None:
    # an existing object cannot be filled by public names (mmengine 0.10.7,
    # OneDL's 0.10.12)
    arrays: list[Any] = [
        state.get(key) if type(state) is dict else None
        for key in ('_log_history', '_count_history')
    ]
    expect(
        all(type(array) is np.ndarray and array.ndim == 1 for array in arrays)
        and arrays[0].shape == arrays[1].shape
        and type(state.get('max_length')) is int,
        _HISTORY,
        'its state is not two arrays and a length',
    )
    history._log_history, history._count_history = arrays
    history.max_length = state['max_length']


def _ordered_dict(items: Sequence[list] = ()) -> OrderedDict:
    # Python 2 wrote the items as an argument, Python 3 writes them afterwards
    expect(
        all(type(item) is list and len(item) == 2 for item in items)
        and are_keys(key for key, _ in items),
        'collections.OrderedDict',
        'its argument is no list of items',
    )
    return OrderedDict(items)


def _set_versions(weights: OrderedDict, state: dict) -> None:
    """Keep only the modules' versions; torch would obey other entries, too."""
    versions: Any = state.get('_metadata') if type(state) is dict else None
    expect(
        isinstance(versions, dict)
        and len(state) == 1
        and all(
            type(name) is str
            and isinstance(each, dict)
            and type(each.get('version', 1)) is int
            for name, each in versions.items()
        ),
        'collections.OrderedDict',
        'its attributes are not the versions of modules',
    )
    set_module_versions(
        weights,
        OrderedDict(
            (name, {'version': each['version']} if 'version' in each else {})
            for name, each in versions.items()
        ),
    )


def _bytes(text: str, encoding: str = 'latin1') -> bytes:
    expect(
        type(text) is str and encoding in ('latin1', 'latin-1'),
        '_codecs.encode',
        f'into {short(encoding)}',
    )
    return text.encode('latin1')


def _no_bytes() -> bytes:
    """Return empty bytes; protocol 2 writes them as a call of the class ``bytes``."""
    return b''


def _counter(counts: dict) -> Counter:
    expect(
        type(counts) is dict and all(type(n) is int for n in counts.values()),
        'collections.Counter',
        'its argument is no dict of numbers',
    )
    return Counter(counts)


def _set(items: list) -> set:
    expect(
        type(items) is list and are_keys(items),
        'builtins.set',
        'its argument is no list of plain values',
    )
    return set(items)


def _complex(real: float, imaginary: float) -> complex:
    return complex(real, imaginary)


_HISTORY = 'mmengine.logging.history_buffer.HistoryBuffer'

CALLS: dict[str, Callable] = {
    **plain_tensors.CALLS,
    'collections.OrderedDict': _ordered_dict,
    'collections.Counter': _counter,
    '_codecs.encode': _bytes,
    'builtins.bytes': _no_bytes,
    'builtins.set': _set,
    'builtins.complex': _complex,
    'builtins.getattr': _statistic,
    'numpy.dtype': _dtype,
    # numpy 2 renamed numpy.core, so the name depends on the version that wrote it
    **{
        f'numpy.{core}.multiarray.{name}': function
        for core in ('core', '_core')
        for name, function in (('_reconstruct', _empty_array), ('scalar', _scalar))
    },
}
"""Functions that a file may call, and those that are called instead."""

OBJECTS = {_HISTORY: _empty_history}
"""Classes that a file may instantiate without arguments."""

STATES: dict[type, Callable[[Any, Any], None]] = {
    np.ndarray: _fill_array,
    np.dtype: _set_byte_order,
    HistoryBuffer: _fill_history,
    OrderedDict: _set_versions,
}
"""For each type, the function that sets the state of a new object, once."""

# names that may occur, but not be called or instantiated
MENTIONED = {'numpy.ndarray', *plain_tensors.TYPES, *plain_tensors.STORAGE_DTYPES}


def call(function: Name, args: tuple) -> Any:
    """Return the result of a call in a file.

    Raises:
        NotData: The function is not in :data:`CALLS`, or the arguments are wrong.
    """
    expect(isinstance(function, Name), short(function), 'it is called')
    expect(function.path in CALLS, function.path, 'it is called')
    expect(type(args) is tuple, function.path, 'its arguments are no tuple')
    try:
        return CALLS[function.path](*args)
    except (TypeError, ValueError, AttributeError) as error:
        raise NotData(function.path, str(error)) from None


def global_name(path: str) -> Any:
    """Return what a pickle's ``MODULE NAME`` stands for: a name, or a torch dtype.

    Raises:
        NotData: The name is not among those that a checkpoint may contain.
    """
    # protocol 2, torch.save's default, writes Python 2's names
    module, _, name = path.partition(' ')
    module = _compat_pickle.IMPORT_MAPPING.get(module, module)
    path = f'{module}.{name}'
    if path in CALLS or path in OBJECTS or path in MENTIONED:
        return Name(path)
    # not getattr, since torch may import some of its modules for it
    if module == 'torch' and isinstance(vars(torch).get(name), torch.dtype):
        return vars(torch)[name]
    raise NotData(path)


def state_setter(made: Any) -> Optional[Callable]:
    """Return the function that sets the state of a file's object, if it has one."""
    for kind, fill in STATES.items():
        # each of numpy's dtypes has a class of its own
        if type(made) is kind or (kind is np.dtype and isinstance(made, kind)):
            return fill
    return None
