"""Precision in which the kernels compute."""

from torch import Tensor

from ..precision import in_float32


def at_least_float32(*tensors: Tensor) -> list[Tensor]:
    """Convert half precision to float32, since some kernels do not support it."""
    return [in_float32(tensor) for tensor in tensors]
