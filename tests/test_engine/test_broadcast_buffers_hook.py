"""All processes validate with the first one's buffers."""

from types import SimpleNamespace

from mmreviewkd.engine import BroadcastBuffersHook, broadcast_buffers_hook

import torch
from mmengine.hooks import EMAHook
from torch import nn


def test_buffers_and_nothing_else_come_from_the_first_process(monkeypatch):
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    weights = [parameter.clone() for parameter in model.parameters()]
    # the first process's, as this one receives them
    monkeypatch.setattr(
        broadcast_buffers_hook, 'broadcast', lambda buffer: buffer.fill_(7)
    )
    hook = BroadcastBuffersHook()
    hook.before_val_epoch(SimpleNamespace(model=model))
    assert all((buffer == 7).all() for buffer in model.buffers())
    assert all(map(torch.equal, model.parameters(), weights))


def test_one_process_keeps_its_own():
    model = nn.BatchNorm2d(4)
    model.running_mean.normal_()
    before = model.running_mean.clone()
    BroadcastBuffersHook().before_val_epoch(SimpleNamespace(model=model))
    assert torch.equal(model.running_mean, before)


def test_it_comes_after_the_exchange_with_an_average():
    priorities = ['VERY_HIGH', 'HIGH', 'ABOVE_NORMAL', 'NORMAL', 'BELOW_NORMAL']
    priorities += ['LOW', 'VERY_LOW']
    assert priorities.index(BroadcastBuffersHook.priority) > priorities.index(
        EMAHook.priority
    )
