"""A CUDA device that computes nothing: it tells what waits for it, or is left behind.

torch's fake tensors have shape, dtype and device, and no values. An operator that needs
a value on the host raises an error, as does one whose operands lie on two devices.
"""

from contextlib import contextmanager

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode


class _NoCopyToHost(TorchDispatchMode):
    """Refuse copies from the device to the host that wait for the device."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        result = function(*args, **kwargs)
        name = function.overloadpacket._qualified_op_name
        if name == 'aten::_to_copy' and args[0].device.type == 'cuda':
            assert result.device.type == 'cuda', 'a copy to the host'
        if name == 'aten::copy_' and args[1].device.type == 'cuda':
            on_host = args[0].device.type == 'cpu'
            non_blocking = kwargs.get('non_blocking') or args[2:] == (True,)
            assert not on_host or non_blocking, 'a copy to the host that waits'
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
    with FakeTensorMode(allow_non_fake_inputs=False), _NoCopyToHost():
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
