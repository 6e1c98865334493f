"""Finds the model inside the wrappers of a run."""

from typing import Any

import torch.nn as nn
from mmengine.model import BaseModel, BaseTTAModel, is_model_wrapper


def unwrap(model: nn.Module) -> BaseModel:
    """Return the model inside DistributedDataParallel, TTA and other wrappers."""
    inner: Any = model
    while is_model_wrapper(inner) or isinstance(inner, BaseTTAModel):
        inner = inner.module
    return inner
