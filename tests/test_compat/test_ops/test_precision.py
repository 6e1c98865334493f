"""Which precision the kernels compute in."""

from mmreviewkd.compat.ops.precision import at_least_float32

import torch


def test_half_precision_alone_is_widened():
    given = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
    tensors = at_least_float32(*(torch.ones(2, dtype=dtype) for dtype in given))
    assert [tensor.dtype for tensor in tensors] == 3 * [torch.float32] + [torch.float64]
