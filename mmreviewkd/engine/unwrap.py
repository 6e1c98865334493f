"""Finds the model inside the wrappers of a run."""

import torch.nn as nn
from mmengine.model import BaseModel, is_model_wrapper


def unwrap(model: nn.Module) -> BaseModel:
    """Return the model inside DistributedDataParallel and other wrappers."""
    return model.module if is_model_wrapper(model) else model
