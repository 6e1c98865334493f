"""A pickle read as data."""

import io
import pickle
from collections import OrderedDict

from mmreviewkd.compat.not_data import NotData
from mmreviewkd.compat.unpickling import unpickle

import pytest

VALUES = [
    None,
    True,
    [1, -1, 255, 65535, 2**31 - 1, -(2**31), 2**40, -(2**80), 1.5, float('inf')],
    ['', 'é', 'x' * 300, b'', b'bytes', b'x' * 300],
    ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)),
    {'a': {None: [], (1, 'b'): {}}, 3: [[[]]]},
    OrderedDict(z=1, a=2),
]


@pytest.mark.parametrize('protocol', [2, 3, 4])
@pytest.mark.parametrize('value', VALUES, ids=lambda value: repr(value)[:20])
def test_values_are_those_of_pickle(value, protocol):
    assert unpickle(io.BytesIO(pickle.dumps(value, protocol))) == value


def test_the_file_stands_behind_the_pickle():
    file = io.BytesIO(b'before' + pickle.dumps([1], 2) + pickle.dumps('two', 2) + b'..')
    file.seek(len('before'))
    assert (unpickle(file), unpickle(file), file.read()) == ([1], 'two', b'..')


def test_a_value_that_is_there_twice_is_one():
    inner = [1]
    first, second = unpickle(io.BytesIO(pickle.dumps([inner, inner], 2)))
    assert first is second


def test_persistent_ids():
    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            return ('storage', 7) if isinstance(value, range) else None

    file = io.BytesIO()
    Pickler(file, 2).dump([range(3)])
    file.seek(0)
    assert unpickle(file, lambda id_: id_[1]) == [7]
    file.seek(0)
    with pytest.raises(NotData, match='a persistent id: there is nothing'):
        unpickle(file)


@pytest.mark.parametrize(
    'content, error, message',
    [
        (b'\x80\x02cposix\nsystem\n.', NotData, '^posix.system$'),
        (b'\x80\x02)\x85\x81.', ValueError, 'stack of the pickle is empty'),
        (b'\x80\x02]N.', ValueError, 'too many values'),
        (b'\x80\x02N(a.', ValueError, 'stack of the pickle is empty'),
        (b'\x80\x02}]Ns.', NotData, 'dict: its keys are no plain values'),
        (b'\x80\x02)Na.', NotData, 'tuple: something is appended'),
        (b'\x80\x02]}b.', NotData, 'list: its state is set'),
    ],
)
def test_what_is_no_data(content, error, message):
    with pytest.raises(error, match=message):
        unpickle(io.BytesIO(content))


@pytest.mark.parametrize('depth, fits', [(100, True), (102, False)])
def test_containers_in_each_other(depth, fits):
    content = b'\x80\x02' + (depth - 1) * b'(' + b']' + (depth - 1) * b't' + b'.'
    if fits:
        unpickle(io.BytesIO(content))
        return
    with pytest.raises(ValueError, match='lie in each other without end'):
        unpickle(io.BytesIO(content))
