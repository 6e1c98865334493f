"""FitNets' hints, against their formula."""

from mmreviewkd.errors import UserInputError
from mmreviewkd.methods import FitNet
from mmreviewkd.methods.fitnet import hint_loss
from tests.support.views import PAIR, assert_same_gradients, feature, views

import pytest
import torch
from mmdet.registry import MODELS


def built(ours=2, theirs=2, **settings):
    pair = PAIR._replace(strides=[1, ours, 4, 8], teacher_strides=[1, theirs, 4, 8])
    torch.manual_seed(0)
    return FitNet.for_pair(pair, **settings).double(), pair


def convolved(layer, x, ratio):
    """Cell by cell: a 1x1 convolution, or one of more cells that halves or doubles."""
    weight, size = layer.weight, x.size(2)
    if ratio == 1:
        out = torch.einsum('oc,nchw->nohw', weight[:, :, 0, 0], x)
    elif ratio == 2:
        padded = torch.nn.functional.pad(x, (1, 1, 1, 1))
        rows = [
            [
                torch.einsum(
                    'ocij,ncij->no', weight, padded[:, :, y : y + 3, z : z + 3]
                )
                for z in range(0, size, 2)
            ]
            for y in range(0, size, 2)
        ]
        out = torch.stack([torch.stack(row, -1) for row in rows], -2)
    else:
        out = x.new_zeros(len(x), weight.size(1), 2 * size + 2, 2 * size + 2)
        for y in range(size):
            for z in range(size):
                spread = torch.einsum('nc,coij->noij', x[:, :, y, z], weight)
                place = out.new_zeros(out.shape)
                place[:, :, 2 * y : 2 * y + 4, 2 * z : 2 * z + 4] = spread
                out = out + place
        out = out[:, :, 1:-1, 1:-1]
    return out + layer.bias.view(1, -1, 1, 1)


def formula(method, student, teacher, ratio):
    x = convolved(method.regressor[0], student, ratio)
    norm = method.regressor[1]
    mean = x.mean((0, 2, 3), keepdim=True)
    variance = (x - mean).square().mean((0, 2, 3), keepdim=True)
    x = (x - mean) / (variance + 1e-5).sqrt()
    x = x * norm.weight.view(1, -1, 1, 1) + norm.bias.view(1, -1, 1, 1)
    difference = torch.where(x > 0, x, 0 * x) - teacher
    return (difference * difference).sum() / difference.numel()


@pytest.mark.parametrize('ours, theirs', [(2, 2), (1, 2), (2, 1)])
def test_equals_the_formula(ours, theirs):
    method, pair = built(ours, theirs)
    student, teacher = views(pair=pair)
    loss = method.losses(student, teacher)['loss']
    expected = formula(
        method, student.features[1], teacher.features[1].detach(), theirs / ours
    )
    weight = method.regressor[0].weight
    assert_same_gradients(loss, expected, student.features[1], weight)
    assert not hint_loss(student.features[1].detach(), student.features[1]).grad_fn


def test_gradcheck():
    student, teacher = feature(2, 3, 2, 2).requires_grad_(), feature(2, 3, 2, 2, seed=1)
    assert torch.autograd.gradcheck(lambda s: hint_loss(s, teacher), student)
    assert hint_loss(teacher, teacher) == 0


def test_squares_of_half_precision():
    student, teacher = 300 * feature(2, 3, 4, 4), feature(2, 3, 4, 4, seed=1)
    expected = hint_loss(student, teacher).float()
    half = student.half().requires_grad_()
    loss = hint_loss(half, teacher.half())
    torch.testing.assert_close(loss, expected, rtol=1e-3, atol=0)
    loss.backward()
    assert half.grad.isfinite().all()


def test_published_settings():
    method, _ = built()
    assert method.level == 1 and method.regressor[0].bias is not None
    assert [type(layer).__name__ for layer in method.regressor] == [
        'Conv2d',
        'BatchNorm2d',
        'ReLU',
    ]
    with pytest.raises(TypeError):  # without a pair
        MODELS.build(dict(type='FitNet', weight=100.0))


@pytest.mark.parametrize(
    'settings, message',
    [
        (
            dict(level=3),
            'FitNet(level=3): must be the index of a level that has maps; these are '
            '[0, 1, 2]',
        ),
        (dict(level=-2), 'FitNet(level=-2): must be the index'),
        (dict(level='layer2'), "FitNet(level='layer2'): must be the index"),
        (
            dict(ours=1, theirs=4),
            'FitNet(level=1): the student has stride 1 there, the teacher 4; must be '
            'equal, half or double. Choose another level',
        ),
    ],
)
def test_what_cannot_be(settings, message):
    with pytest.raises(UserInputError) as error:
        built(**settings)
    assert str(error.value).startswith(message) and '\n' not in str(error.value)
