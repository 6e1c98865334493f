"""Recording levels: order, in-place modules, errors, nothing left behind."""

from mmreviewkd.errors import UserInputError
from mmreviewkd.models.features import as_maps, record
from tests.support.students import losses_of

import pytest
import torch
import torch.nn as nn
from mmdet.registry import MODELS


class Toy(nn.Module):
    """A shared in-place ReLU, called twice, and a vector in the end."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3)
        self.conv2 = nn.Conv2d(4, 4, 3)
        self.relu = nn.ReLU(inplace=True)
        self.fc = nn.Linear(4, 2)
        self.unused = nn.Identity()

    def forward(self, x):
        x = self.relu(self.conv1(x))
        x = self.relu(self.conv2(x))
        return self.fc(x.mean((2, 3)))


def hooks(model):
    return sum(
        len(module._forward_hooks) + len(module._forward_pre_hooks)
        for module in model.modules()
    )


@pytest.fixture
def toy():
    return Toy()


IMAGES = torch.randn(2, 3, 8, 8)


def test_order_and_last_call(toy):
    with record(toy, ['fc.input', 'relu.input', 'fc.input']) as features:
        logits = toy(IMAGES)
        assert features == []
    pooled, before, again = features
    assert torch.equal(pooled, again)
    assert [tuple(each.shape) for each in as_maps(features)] == [
        (2, 4, 1, 1),
        (2, 4, 4, 4),
        (2, 4, 1, 1),
    ]
    expected = toy.conv2(toy.conv1(IMAGES).relu())
    torch.testing.assert_close(before, expected)
    torch.testing.assert_close(logits, toy.fc(pooled))
    assert hooks(toy) == 0
    # which of several outputs is meant cannot be told
    with pytest.raises(UserInputError, match='ReLU ran twice'):
        with record(toy, ['relu']):
            toy(IMAGES)
    assert hooks(toy) == 0


def test_several_maps_of_one_module():

    class Neck(nn.Module):
        def forward(self, x):
            return x, x[..., ::2, ::2]

    model = nn.Sequential(Neck())
    with record(model, ['0']) as features:
        model(IMAGES)
    assert [f.shape[-1] for f in features] == [8, 4]


def test_gradients_flow(toy):
    with record(toy, ['relu.input', 'fc.input']) as features:
        toy(IMAGES)
    features[0].square().mean().backward()
    assert toy.conv1.weight.grad.any() and toy.conv2.weight.grad.any()
    assert toy.fc.weight.grad is None


def test_who_uses_what_a_module_wrote_in_place_goes_on_with_it():

    class Preactivated(nn.Module):
        def __init__(self):
            super().__init__()
            self.relu = nn.ReLU(inplace=True)

        def forward(self, x):
            x = 1 * x
            self.relu(x)
            return 2 * x

    model = Preactivated()
    images = IMAGES.clone().requires_grad_()
    with record(model, ['relu.input']) as features:
        result = model(images)
    torch.testing.assert_close(result, 2 * IMAGES.relu())
    torch.testing.assert_close(features[0], images)
    (on_feature, on_image) = torch.autograd.grad(result.sum(), [features[0], images])
    assert torch.equal(on_feature, 2.0 * (IMAGES > 0))
    assert torch.equal(on_image, on_feature)


def test_the_model_goes_on_with_what_is_recorded(toy):
    """So the gradient of its own loss can be asked for, at a ReLU in place, too."""
    with record(toy, ['relu.input', 'fc.input']) as features:
        logits = toy(IMAGES)
    before, pooled = torch.autograd.grad(logits.sum(), features)
    weights = toy.fc.weight.sum(0)
    torch.testing.assert_close(pooled, weights.expand(2, 4))
    expected = weights[:, None, None] * (features[0] > 0) / 16
    torch.testing.assert_close(before, expected)


def test_any_way_of_running(toy):
    """A model's own hooks do not run when a method is called directly."""
    with record(toy, ['fc']) as features:
        logits = toy.forward(IMAGES)
    assert torch.equal(features[0], logits)


def test_overwritten_feature(toy):
    with pytest.raises(UserInputError, match='conv2 of Toy was overwritten'):
        with record(toy, ['conv2']):
            toy(IMAGES)
    assert hooks(toy) == 0
    # as the error says
    with record(toy, ['relu.input']) as features:
        toy(IMAGES)
    assert features[0].min() < 0
    toy.relu.inplace = False
    with record(toy, ['conv2']) as features:
        toy(IMAGES)
    assert features[0].min() < 0


def test_overwritten_by_code():

    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)

        def forward(self, x):
            out = self.conv(x)
            out += x
            return out

    model = nn.Sequential(Residual(), nn.Identity())
    with pytest.raises(UserInputError) as error, record(model, ['0.conv']):
        model(IMAGES)
    assert str(error.value) == (
        'the feature of 0.conv of Sequential was overwritten in place behind '
        "it. If by a module, as by ReLU(inplace=True), name that module's "
        'input, MODULE.input; if by code, as by out += x, write out = out + x,'
        ' or name a module whose output is not written over'
    )
    # such a module
    with record(model, ['0', '1.input']) as features:
        outputs = model(IMAGES)
    assert all(torch.equal(feature, outputs) for feature in features)


def test_inference_mode(toy):
    with torch.inference_mode():
        with record(toy, ['relu.input']) as features:
            toy(IMAGES)
        assert features[0].min() < 0


def test_hooks_are_removed_after_an_exception(toy):
    with pytest.raises(RuntimeError, match='channels'):
        with record(toy, ['conv1', 'relu.input']):
            toy(torch.rand(2, 5, 8, 8))
    assert hooks(toy) == 0


@pytest.mark.parametrize(
    'names, message',
    [
        (['conv1', 'conv3'], 'Toy has no module conv3; near names: conv'),
        (['Relu.input'], 'no module Relu; near names: relu'),
        (['stage'], 'it consists of conv1, conv2, relu, fc, unused'),
        (['unused'], 'unused of Toy did not run'),
    ],
)
def test_bad_names(toy, names, message):
    with pytest.raises(UserInputError, match=message), record(toy, names):
        toy(IMAGES)
    assert hooks(toy) == 0


@pytest.mark.parametrize(
    'output, message',
    [
        ((torch.rand(1),), r'0 of Sequential gives a tensor of shape \(1,\)'),
        (dict(a=torch.rand(1)), '0 of Sequential gives a str, neither a map'),
        (torch.rand(2, 3, 4), r'gives a tensor of shape \(2, 3, 4\)'),
    ],
)
def test_neither_map_nor_vector(output, message):

    class Odd(nn.Module):
        def forward(self, x):
            return output

    model = nn.Sequential(Odd())
    with pytest.raises(UserInputError, match=message), record(model, ['0']):
        model(IMAGES)
    assert hooks(model) == 0


@pytest.mark.parametrize('training', [False, True])
def test_torchvision_resnet(training):
    """The input of the last call of a block's in-place ReLU, untouched."""
    torch.manual_seed(0)
    model = MODELS.build(dict(type='TorchvisionNetwork', name='resnet18'))
    model.train(training)
    images = torch.randn(2, 3, 64, 64)
    before, after = model.levels_before, model.levels_after
    assert before[0] == 'layer1.1.relu.input'
    with record(model, [*before, *after]) as features:
        logits = model(images)
    for b, a in zip(features[:4], features[5:9]):
        assert b.min() < 0
        torch.testing.assert_close(b.relu(), a, rtol=0, atol=0)
    assert hooks(model) == 0
    logits.sum().backward()
    assert model.conv1.weight.grad.any()


def test_record_leaves_nothing_behind(distiller):
    model = distiller()
    with pytest.raises(ZeroDivisionError), record(model, ['neck']):
        raise ZeroDivisionError
    assert not model.neck._forward_hooks
    losses_of(model)
    assert not model.neck._forward_hooks
    with pytest.raises(UserInputError, match='FPN ran twice'):
        with record(model, ['neck']):
            for _ in range(2):
                model.extract_feat(torch.zeros(1, 3, 64, 64))
