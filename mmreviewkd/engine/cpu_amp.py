"""Mixed precision where there is no GPU."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn as nn
from mmdet.registry import OPTIM_WRAPPERS
from mmengine.optim import OptimWrapper


@OPTIM_WRAPPERS.register_module()
class CPUAmp(OptimWrapper):
    """Mixed precision in bfloat16 on the CPU, which mmengine's wrapper refuses.

    On a CPU with AMX, torch's gradients can be wrong where a map is one cell wide (see
    docs/faq.md).

    Examples:
        >>> optim_wrapper = dict(  # in a config
        ...     type='CPUAmp', optimizer=dict(type='SGD', lr=0.01)
        ... )
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        with super().optim_context(model), torch.autocast('cpu', torch.bfloat16):
            yield
