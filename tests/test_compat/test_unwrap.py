"""The model inside the wrappers of a run."""

from mmreviewkd.compat.unwrap import unwrap

import torch.nn as nn
from mmdet.models import DetTTAModel
from mmengine.model import BaseModel
from mmengine.registry import MODEL_WRAPPERS


class Plain(BaseModel):
    def forward(self, *args):
        """Never called."""


@MODEL_WRAPPERS.register_module()
class Wrapper(nn.Module):
    def __init__(self, module):
        super().__init__()
        self.module = module


def test_wrappers_in_each_other():
    model = Plain()
    assert unwrap(model) is model
    assert unwrap(Wrapper(model)) is model
    assert unwrap(Wrapper(DetTTAModel(module=model))) is model
