"""Features are recorded inside of compiled code, in every pass."""

from mmreviewkd.compat.compiling import notice_hooks
from mmreviewkd.methods.auto_weight import AutoWeight
from mmreviewkd.models.features import record

import pytest
import torch
import torch.nn as nn
from torch._dynamo import config
from torch._functorch import config as functorch


@pytest.mark.skipif(
    not hasattr(torch.compiler, 'is_compiling'), reason='torch < 2.3 cannot tell'
)
@config.patch(skip_nnmodule_hook_guards=True)  # afterwards as before
def test_hooks_of_every_pass_are_called():
    notice_hooks()
    torch._dynamo.reset()
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 5, 1))
    model.forward = torch.compile(model.forward, backend=backend)
    image = torch.rand(2, 3, 8, 8)
    model(image)
    names = ['0', '2.input', '2']
    for _ in range(3):
        with record(model, names) as features:
            output = model(image)
        expected = [model[0](image), model[0](image).relu(), output]
        for feature, value in zip(features, expected):
            assert torch.equal(feature, value)
    # one graph without hooks and one with them, none of them in pieces
    assert len(graphs) == 2


@pytest.mark.skipif(
    not hasattr(functorch, 'donated_buffer'), reason='torch < 2.6 uses up nothing'
)
def test_a_measured_weight_keeps_what_a_second_backward_pass_needs():
    with functorch.patch(donated_buffer=True):
        AutoWeight()
        assert functorch.donated_buffer is False
