"""The names of torch that a checkpoint may contain, each with its only use."""

import math
from typing import Any, Callable, NamedTuple, Optional

import torch
from torch import Tensor

from .not_data import Name, expect, is_size, short


class Storage(NamedTuple):
    """Bytes of a tensor, and the type that the file gives them."""

    data: torch.UntypedStorage
    dtype: torch.dtype


STORAGE_DTYPES = {
    f'torch.{device}{name}Storage': dtype
    for device in ('', 'cuda.')
    for name, dtype in dict(
        Double=torch.double,
        Float=torch.float,
        Half=torch.half,
        BFloat16=torch.bfloat16,
        Long=torch.long,
        Int=torch.int,
        Short=torch.short,
        Char=torch.int8,
        Byte=torch.uint8,
        Bool=torch.bool,
        ComplexDouble=torch.complex128,
        ComplexFloat=torch.complex64,
    ).items()
}
_NUMBERS = {
    *STORAGE_DTYPES.values(),
    *(
        getattr(torch, name)
        for name in ('uint16', 'uint32', 'uint64', 'float8_e4m3fn', 'float8_e5m2')
        if hasattr(torch, name)
    ),
}
# storage of tensors with newer types; the type is saved beside it
STORAGE_DTYPES['torch.storage.UntypedStorage'] = torch.uint8


def _tensor(
    storage: Storage,
    offset: int,
    size: tuple,
    stride: tuple,
    requires_grad: bool = False,
    hooks: Optional[dict] = None,
    metadata: Optional[dict] = None,
) -> Tensor:
    expect(
        isinstance(storage, Storage),
        'torch._utils._rebuild_tensor',
        'its storage is none',
    )
    _expect_plain(metadata)
    return _view(storage, offset, size, stride, requires_grad, storage.dtype)


def _tensor_of_type(
    storage: Storage,
    offset: int,
    size: tuple,
    stride: tuple,
    requires_grad: bool,
    hooks: Optional[dict],
    dtype: torch.dtype,
    metadata: Optional[dict] = None,
) -> Tensor:
    _expect_plain(metadata)
    return _view(storage, offset, size, stride, requires_grad, dtype)


def _expect_plain(metadata: Optional[dict]) -> None:
    """Refuse a tensor that torch would read with other signs than are stored."""
    # torch writes metadata for such lazy views alone; weights are none
    expect(
        not metadata,
        'torch._utils._rebuild_tensor',
        'it is a conjugate or a negative that is not resolved',
    )


def _view(
    storage: Storage,
    offset: int,
    size: tuple,
    stride: tuple,
    requires_grad: bool,
    dtype: torch.dtype,
) -> Tensor:
    name = 'torch._utils._rebuild_tensor'
    expect(
        isinstance(storage, Storage)
        and dtype in _NUMBERS
        and is_size((offset,))
        and is_size(size)
        and is_size(stride)
        and len(size) == len(stride)
        and type(requires_grad) is bool,
        name,
        'its arguments are no storage, offset, size and stride',
    )
    tensor = torch.empty(0, dtype=dtype, device=storage.data.device)
    # Tensor.set_ would enlarge a storage that is too small
    last = offset + sum((n - 1) * step for n, step in zip(size, stride))
    cells = 0 if 0 in size else last + 1
    expect(
        cells * tensor.element_size() <= storage.data.nbytes(),
        name,
        'it reaches beyond its storage',
    )
    # many elements of an expanded tensor share their bytes, so its size is limited
    expect(
        math.prod(size) <= 2**20 + 64 * storage.data.nbytes(),
        name,
        'it is far larger than its storage',
    )
    if 0 in size:  # has no elements, so the strides do not matter
        return tensor.new_empty(size).requires_grad_(requires_grad)
    return tensor.set_(storage.data, offset, size, stride).requires_grad_(requires_grad)


def _parameter(
    data: Tensor,
    requires_grad: bool,
    hooks: Optional[dict] = None,
    state: Optional[dict] = None,
) -> torch.nn.Parameter:
    expect(
        isinstance(data, Tensor) and type(requires_grad) is bool,
        'torch._utils._rebuild_parameter',
        'its argument is no tensor',
    )
    return torch.nn.Parameter(data, requires_grad)


def _of_type(function: Name, kind: Name, args: tuple, state: Any) -> Tensor:
    for name, known in ((kind, TYPES), (function, CALLS)):
        expect(
            isinstance(name, Name) and name.path in known,
            short(name),
            'a tensor is made of it',
        )
    return CALLS[function.path](*args)


def _size(sizes: tuple) -> torch.Size:
    expect(is_size(sizes), 'torch.Size', 'its argument is no size')
    return torch.Size(sizes)


def _device(kind: str, index: Optional[int] = None) -> torch.device:
    return torch.device(kind) if index is None else torch.device(kind, index)


CALLS: dict[str, Callable] = {
    'torch._utils._rebuild_tensor': _tensor,
    'torch._utils._rebuild_tensor_v2': _tensor,
    'torch._utils._rebuild_tensor_v3': _tensor_of_type,
    'torch._utils._rebuild_parameter': _parameter,
    'torch._utils._rebuild_parameter_with_state': _parameter,
    'torch._tensor._rebuild_from_type_v2': _of_type,
    'torch.Size': _size,
    'torch.device': _device,
}
"""Functions that a file may call, and those that are called instead."""

TYPES = {'torch.Tensor', 'torch.nn.parameter.Parameter'}
"""Types that may occur in a file, but not be called or instantiated."""
