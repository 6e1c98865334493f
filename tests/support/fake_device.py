"""A CUDA device that computes nothing: it tells what waits for it, or is left behind.

torch's fake tensors have shape, dtype and device, and no values. An operator that needs
a value on the host raises an error, as does one whose operands lie on two devices.
"""

from contextlib import contextmanager

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode


class _NoWaitingCopies(TorchDispatchMode):
    """Refuse copies between device and host that wait, in either direction."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        result = function(*args, **kwargs)
        name = function.overloadpacket._qualified_op_name
        if name in ('aten::_to_copy', 'aten::copy_'):
            source, target = args[name == 'aten::copy_'], result
            waits = not (kwargs.get('non_blocking') or args[2:] == (True,))
            assert source.device.type == target.device.type or not waits, (
                f'a copy from {source.device} to {target.device} that waits'
            )
        return result


class Event:
    """Stands in for torch.cuda.Event."""

    def record(self):
        pass

    def synchronize(self):
        raise AssertionError('the step waits for the device')


@contextmanager
def fake_cuda(monkeypatch):
    """Tensors that are made in the context, or moved, may lie on a fake GPU."""
    monkeypatch.setattr(torch.cuda, 'Event', Event)
    # autocast for CUDA is off where there is none
    monkeypatch.setattr(
        torch.cuda.amp.common, 'amp_definitely_not_available', lambda: False
    )
    with FakeTensorMode(allow_non_fake_inputs=False), _NoWaitingCopies():
        try:
            torch.empty(1, device='cuda')[:1]
        except RuntimeError:
            pytest.skip(f'torch {torch.__version__} slices none without a driver')
        yield


def on_fake_gpu(module):
    """Replace a module's parameters and buffers by fake ones, in place."""
    for each in module.modules():
        for name, parameter in each._parameters.items():
            if parameter is not None:
                fake = torch.empty(
                    parameter.shape, dtype=parameter.dtype, device='cuda'
                )
                each._parameters[name] = torch.nn.Parameter(
                    fake, parameter.requires_grad
                )
        for name, buffer in each._buffers.items():
            if buffer is not None:
                each._buffers[name] = torch.empty(
                    buffer.shape, dtype=buffer.dtype, device='cuda'
                )
    return module
