"""Tensors of a file, each a part of its storage."""

from mmreviewkd.compat.not_data import Name, NotData
from mmreviewkd.compat.plain_tensors import CALLS, STORAGE_DTYPES, Storage

import pytest
import torch

REBUILD = CALLS['torch._utils._rebuild_tensor_v2']


def storage(count=6, dtype=torch.float32):
    values = torch.arange(count, dtype=dtype)
    return Storage(values.untyped_storage(), dtype)


def test_a_view_shares_its_storage():
    source = storage()
    part = REBUILD(source, 1, (2, 2), (1, 2), True, {})
    assert part.tolist() == [[1, 3], [2, 4]] and part.requires_grad
    whole = REBUILD(source, 0, (6,), (1,))
    whole[1] = 9
    assert part[0, 0] == 9 and not whole.requires_grad


@pytest.mark.parametrize(
    'offset, size, stride',
    [(1, (6,), (1,)), (0, (2, 3), (4, 1)), (5, (2,), (1,)), (2**62, (1,), (1,))],
)
def test_nothing_reaches_beyond_its_storage(offset, size, stride):
    with pytest.raises(NotData, match='it reaches beyond its storage'):
        REBUILD(storage(), offset, size, stride)


def test_an_empty_tensor_reaches_for_nothing():
    assert REBUILD(storage(0), 0, (0, 3), (3, 1)).shape == (0, 3)
    assert REBUILD(storage(), 100, (0,), (1,)).shape == (0,)


def test_an_expanded_tensor_is_not_far_larger_than_its_storage():
    assert REBUILD(storage(1), 0, (2**20,), (0,)).shape == (2**20,)
    with pytest.raises(NotData, match='far larger than its storage'):
        REBUILD(storage(1), 0, (2**21,), (0,))


@pytest.mark.parametrize(
    'size, stride', [((2,), (1, 1)), ((-1,), (1,)), ((1.0,), (1,)), ([2], (1,))]
)
def test_sizes_that_are_none(size, stride):
    with pytest.raises(NotData, match='no storage, offset, size and stride'):
        REBUILD(storage(), 0, size, stride)


def test_a_type_beside_the_storage():
    rebuild = CALLS['torch._utils._rebuild_tensor_v3']
    values = torch.tensor([1.5, -2.0]).bfloat16()
    source = Storage(values.untyped_storage(), torch.uint8)
    made = rebuild(source, 0, (2,), (1,), False, {}, torch.bfloat16)
    assert torch.equal(made, values)


def test_parameters_and_tensors_of_a_named_type():
    data = REBUILD(storage(), 0, (6,), (1,))
    parameter = CALLS['torch._utils._rebuild_parameter'](data, True)
    assert type(parameter) is torch.nn.Parameter and parameter.requires_grad
    of_type = CALLS['torch._tensor._rebuild_from_type_v2']
    rebuild, args = Name('torch._utils._rebuild_tensor_v2'), (storage(), 0, (6,), (1,))
    assert torch.equal(of_type(rebuild, Name('torch.Tensor'), args, {}), data)
    with pytest.raises(NotData, match='torch.Size: a tensor is made of it'):
        of_type(rebuild, Name('torch.Size'), args, {})


def test_every_storage_is_of_plain_numbers():
    assert STORAGE_DTYPES['torch.cuda.HalfStorage'] == torch.half
    assert STORAGE_DTYPES['torch.storage.UntypedStorage'] == torch.uint8
    assert all(isinstance(dtype, torch.dtype) for dtype in STORAGE_DTYPES.values())
