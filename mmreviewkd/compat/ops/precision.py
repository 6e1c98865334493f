"""Which precision the kernels compute in."""

import torch
from torch import Tensor


def at_least_float32(*tensors: Tensor) -> list[Tensor]:
    """Kernels for half precision are missing here and there."""
    return [
        tensor.to(torch.promote_types(tensor.dtype, torch.float32))
        for tensor in tensors
    ]
