"""Mixed precision on the CPU, as a config names it."""

import mmreviewkd  # noqa: F401

import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope


def test_a_config_names_it():
    model = torch.nn.Linear(2, 2)
    settings = dict(type='CPUAmp', optimizer=dict(type='SGD', lr=1.0))
    with DefaultScope.overwrite_default_scope('mmdet'):
        wrapper = build_optim_wrapper(model, settings)
    with wrapper.optim_context(model):
        loss = model(torch.ones(1, 2)).sum()
    assert loss.dtype == torch.bfloat16
    before = model.bias.detach().clone()
    wrapper.update_params(loss)
    # the parameters stay in float32
    torch.testing.assert_close(model.bias.detach(), before - 1)
