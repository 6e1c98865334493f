"""Precision in which the kernels compute."""

import torch
from torch import Tensor


def at_least_float32(*tensors: Tensor) -> list[Tensor]:
    """Convert half precision to float32, since some kernels do not support it."""
    return [
        tensor.to(torch.promote_types(tensor.dtype, torch.float32))
        for tensor in tensors
    ]
