"""The operators that torchvision's kernels serve, called through ``mmcv.ops``."""

import importlib
import types

import mmreviewkd.compat.ops as served

import pytest


@pytest.fixture(autouse=True)
def use_served_operators(monkeypatch):
    """Where mmcv is compiled, test the stand-ins all the same."""
    stand_in = types.SimpleNamespace(
        **{function.__name__: function for function in served.SERVED}
    )
    for name in (
        'nms',
        'roi_align',
        'roi_pool',
        'focal_loss',
        'deform_conv',
        'modulated_deform_conv',
        'masked_conv',
        'carafe',
    ):
        module = importlib.import_module(f'mmcv.ops.{name}')
        monkeypatch.setattr(module, 'ext_module', stand_in)
