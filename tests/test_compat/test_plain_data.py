"""The names that a checkpoint may hold, each with its one use."""

import pickle
from collections import Counter, OrderedDict

from mmreviewkd.compat.not_data import Name, NotData
from mmreviewkd.compat.plain_data import call, global_name, state_setter

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer


@pytest.mark.parametrize(
    'text, expected',
    [
        ('torch Size', Name('torch.Size')),
        ('torch float16', torch.float16),
        # Python 2's names of modules, as protocol 2 writes them
        ('__builtin__ set', Name('builtins.set')),
        ('numpy.core.multiarray scalar', Name('numpy.core.multiarray.scalar')),
        ('numpy._core.multiarray scalar', Name('numpy._core.multiarray.scalar')),
    ],
)
def test_names(text, expected):
    assert global_name(text) == expected


@pytest.mark.parametrize(
    'text',
    ['__builtin__ eval', 'torch load', 'torch nn.Linear', 'torch float16.x', 'a', ''],
)
def test_names_that_are_none_of_a_checkpoint(text):
    with pytest.raises(NotData):
        global_name(text)


@pytest.mark.parametrize(
    'name, args, expected',
    [
        ('collections.OrderedDict', ([['a', 1], ['b', 2]],), OrderedDict(a=1, b=2)),
        ('collections.Counter', ({8: 1},), Counter({8: 1})),
        ('_codecs.encode', ('é', 'latin1'), b'\xe9'),
        ('builtins.bytes', (), b''),
        ('builtins.set', ([1, 'a'],), {1, 'a'}),
        ('builtins.complex', (1.0, 2.0), 1 + 2j),
        ('torch.Size', ((1, 2),), torch.Size([1, 2])),
        ('torch.device', ('cpu',), torch.device('cpu')),
    ],
)
def test_calls(name, args, expected):
    made = call(Name(name), args)
    assert made == expected and type(made) is type(expected)


@pytest.mark.parametrize(
    'function, args, message',
    [
        ('a text', (), "'a text': it is called"),
        (Name('numpy.ndarray'), (1,), 'numpy.ndarray: it is called'),
        (Name('builtins.set'), [1], 'its arguments are no tuple'),
        (Name('builtins.set'), ([1.5],), 'its argument is no list of plain values'),
        (Name('builtins.bytes'), (2**40,), 'builtins.bytes: '),
        (Name('_codecs.encode'), ('a', 'rot13'), "into 'rot13'"),
        (Name('numpy.dtype'), ('O8',), "'O8' is no type of plain numbers"),
        (Name('builtins.getattr'), (Name('torch.Size'), 'mean'), 'of torch.Size'),
    ],
)
def test_calls_that_are_refused(function, args, message):
    with pytest.raises(NotData) as error:
        call(function, args)
    assert message in str(error.value)


def test_an_array_is_filled_with_exactly_its_bytes():
    reconstruct = Name('numpy.core.multiarray._reconstruct')
    array = call(reconstruct, (Name('numpy.ndarray'), (0,), b'b'))
    dtype = call(Name('numpy.dtype'), ('i4', False, True))
    state_setter(dtype)(dtype, (3, '<', None, None, None, -1, -1, 0))
    expected = np.arange(6, dtype='<i4').reshape(2, 3)
    fill = state_setter(array)
    with pytest.raises(NotData, match='its bytes are not those of its shape'):
        fill(array, (1, (2, 4), dtype, False, expected.tobytes()))
    fill(array, (1, (2, 3), dtype, False, expected.tobytes()))
    np.testing.assert_array_equal(array, expected)
    assert array.dtype == expected.dtype and pickle.dumps(array)


def test_what_is_filled_and_what_is_not():
    for made in (np.zeros(0), np.dtype('f4'), HistoryBuffer(), OrderedDict()):
        assert state_setter(made)
    for made in ({}, [], Counter(), torch.zeros(1), Name('torch.Size')):
        assert state_setter(made) is None


def test_of_the_attributes_of_weights_the_versions_are_kept():
    weights = OrderedDict(a=torch.ones(1))
    versions = OrderedDict(bn=dict(version=2, assign_to_params_buffers=True), x={})
    state_setter(weights)(weights, dict(_metadata=versions))
    assert weights._metadata == OrderedDict(bn=dict(version=2), x={})
    with pytest.raises(NotData, match='not the versions of modules'):
        state_setter(weights)(weights, dict(_metadata=versions, more=1))
