"""Precision that differs from the run's: a part in bfloat16, or values in float32."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Optional

import torch
from torch import Tensor

from ..errors import UserInputError

PRECISIONS = ('bfloat16',)
"""Values of settings named ``precision``, besides None."""


def check_precision(setting: str, precision: Any) -> None:
    """Refuse a precision that is unknown.

    Args:
        setting (str): Name of the setting that holds it, such as ``'teacher'``.
        precision (Any): Value of the setting.

    Raises:
        UserInputError: The value is neither None nor one of ``PRECISIONS``.
    """
    if precision is not None and precision not in PRECISIONS:
        raise UserInputError(
            f"{setting}=dict(precision={precision!r}): must be 'bfloat16'; left out, "
            'the precision is that of the run'
        )


def in_precision(
    setting: str, precision: Optional[str], device: torch.device
) -> AbstractContextManager:
    """Return the context in which operators compute in a precision.

    Args:
        setting (str): Name of the setting that holds it, for messages.
        precision (str, optional): ``'bfloat16'``, or None for that of the run.
        device (torch.device): Device of the tensors.

    Raises:
        UserInputError: The device does not compute in this precision.
    """
    if precision is None:
        return nullcontext()
    if device.type == 'cuda' and not torch.cuda.is_bf16_supported():
        raise UserInputError(
            f'{setting}=dict(precision={precision!r}): '
            f'{torch.cuda.get_device_name(device)} does not compute in it; leave it '
            'out, or train with --amp'
        )
    return torch.autocast(device.type, torch.bfloat16)


def in_float32(values: Tensor) -> Tensor:
    """Return values in float32 at least.

    Squares and sums of half precision overflow, and some kernels do not take it.

    Args:
        values (Tensor): Values, in any precision; those of float64 stay as they are.
    """
    return values.to(torch.promote_types(values.dtype, torch.float32))
