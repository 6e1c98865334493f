"""The model inside of the wrappers of a run."""

import torch.nn as nn
from mmengine.model import BaseModel, is_model_wrapper


def unwrap(model: nn.Module) -> BaseModel:
    """The model itself, without DistributedDataParallel and the like."""
    return model.module if is_model_wrapper(model) else model
