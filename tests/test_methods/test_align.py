"""What the methods that compare level with level have in common."""

from mmreviewkd.methods import Pair, View
from mmreviewkd.methods.align import AlignedMethod, resized, squared_error
from tests.support.views import assert_same_gradients, feature

import pytest
import torch
from mmdet.registry import MODELS

METHODS = ('Mimic', 'PKD', 'CWD', 'MGD', 'FGD')
PAIR = Pair(['stride 8', 'stride 16'], [2, 4], [3, 4], [8, 16])


def views(pair=PAIR, dtype=torch.float32, images=2):
    """Of the two models, with maps of 4x4 and 2x2 cells."""
    ours, theirs = (
        [
            feature(images, c, 4 >> i, 4 >> i, seed=seed, dtype=dtype).requires_grad_()
            for i, c in enumerate(channels)
        ]
        for seed, channels in enumerate((pair.student_channels, pair.teacher_channels))
    )
    boxes = [torch.tensor([[2.0, 3.0, 17.0, 20.0]])] * images
    return View(ours, boxes=boxes), View(theirs, boxes=boxes)


def build(kind, pair=PAIR, **settings):
    torch.manual_seed(0)
    return MODELS.get(kind).for_pair(pair, **settings)


def test_a_convolution_only_where_the_channels_differ():
    method = AlignedMethod.for_pair(PAIR, weight=0.5)
    assert method.weight == 0.5
    shapes = {name: tuple(p.shape) for name, p in method.named_parameters()}
    assert shapes == {'align.0.weight': (3, 2, 1, 1), 'align.0.bias': (3,)}
    student, teacher = views()
    pairs = method.aligned(student, teacher)
    weight, bias = method.align[0].weight.flatten(1), method.align[0].bias
    torch.testing.assert_close(
        pairs[0][0],
        torch.einsum('oc,nchw->nohw', weight, student.features[0])
        + bias.view(-1, 1, 1),
    )
    assert pairs[1][0] is student.features[1]
    assert all(torch.equal(a, b) for (_, a), b in zip(pairs, teacher.features))


def test_a_feature_of_another_size_is_resized():
    small = torch.tensor([[0.0, 4.0], [8.0, 12.0]]).view(1, 1, 2, 2)
    # four cells where there were two: their centres lie at quarters of a cell
    row = torch.tensor([0.0, 1.0, 3.0, 4.0])
    expected = (row + 2 * row[:, None]).view(1, 1, 4, 4)
    torch.testing.assert_close(resized(small, feature(1, 5, 4, 4)), expected)
    assert resized(small, small) is small


def test_squared_error():
    student, teacher = feature(3, 2, 2, 4).requires_grad_(), feature(3, 2, 2, 4, seed=1)
    pairs = zip(student.flatten(), teacher.flatten())
    expected = sum((a - b) ** 2 for a, b in pairs) / 3
    loss = squared_error(student, teacher)
    assert_same_gradients(loss, expected, student)
    # of halves, whose squares exceed 65504
    half = (100 * student).half(), (100 * teacher).half()
    torch.testing.assert_close(
        squared_error(*half), (1e4 * loss).float(), rtol=2e-3, atol=0
    )


@pytest.mark.parametrize('kind', METHODS)
def test_the_teacher_gets_no_gradient_and_all_that_is_trained_gets_one(kind):
    method = build(kind)
    student, teacher = views()
    method.losses(student, teacher)['loss'].backward()
    assert all(each.grad is None for each in teacher.features)
    learners = [*student.features, *method.parameters()]
    assert all(each.grad.isfinite().all() for each in learners)
    assert all(each.grad.abs().sum() > 0 for each in student.features)


@pytest.mark.parametrize('kind', METHODS)
def test_nothing_is_trained_but_what_the_method_has(kind):
    equal = Pair(['stride 8'], [4], [4], [8])
    names = {name.split('.')[0] for name, _ in build(kind, equal).named_parameters()}
    assert names == dict(
        Mimic={'align'},
        MGD={'generate'},
        FGD={'student_context', 'teacher_context'},
    ).get(kind, set())


@pytest.mark.parametrize('kind', METHODS)
def test_the_state_is_kept(kind):
    method, other = build(kind), build(kind)
    for parameter in other.parameters():
        torch.nn.init.constant_(parameter, 0.1)
    state = {name: value.clone() for name, value in other.state_dict().items()}
    method.load_state_dict(state)
    losses = []
    for each in (method, other):
        torch.manual_seed(5)
        losses.append(each.losses(*views())['loss'])
    assert losses[0] == losses[1]


@pytest.mark.parametrize('kind', METHODS)
def test_no_step_looks_at_a_value(kind):
    # which a GPU would have to be waited for; tensors of this device have none
    method = build(kind).to('meta')
    student, teacher = (
        View(
            [each.detach().to('meta').requires_grad_() for each in view.features],
            boxes=[each.to('meta') for each in view.boxes],
        )
        for view in views()
    )
    losses = method.losses(student, teacher)
    losses['loss'].backward()
    assert {value.device.type for value in losses.values()} == {'meta'}


@pytest.mark.parametrize('kind', METHODS)
@pytest.mark.parametrize('images, size', [(1, 1), (1, 3), (2, 1)])
@pytest.mark.parametrize('ours, theirs', [(0, 1), (1, 0), (0, 0)])
def test_small_maps_and_zeros(kind, images, size, ours, theirs):
    method = build(kind, Pair(['stride 8'], [3], [3], [8]))
    student = (ours * feature(images, 3, size, size)).float().requires_grad_()
    teacher = (theirs * feature(images, 3, size, size)).float()
    boxes = [torch.zeros(0, 4)] * images
    loss = method.losses(View([student], boxes=boxes), View([teacher], boxes=boxes))
    loss['loss'].backward()
    assert loss['loss'].isfinite() and student.grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in method.parameters())


@pytest.mark.parametrize('kind', METHODS)
@pytest.mark.parametrize('scale', [1.0, 300.0])
def test_half_precision(kind, scale):
    # values whose squares exceed 65504
    method = build(kind, Pair(['stride 8'], [4], [4], [8]), weight=1.0)
    student = (scale * feature(2, 4, 4, 4)).float()
    teacher = (scale * feature(2, 4, 4, 4, seed=1)).float()
    boxes = [torch.tensor([[2.0, 3.0, 17.0, 20.0]])] * 2

    def loss(*features):
        torch.manual_seed(3)
        views = (View([each], boxes=boxes) for each in features)
        return method.losses(*views)['loss']

    expected = loss(student, teacher)
    with torch.autocast('cpu', torch.bfloat16):
        mixed = loss(student, teacher)
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, expected, rtol=2e-2, atol=1e-2)
    if kind == 'PKD':  # a softmax of hundreds depends on the rounding
        return
    method.half()
    features = student.half().requires_grad_(), teacher.half()
    halved = loss(*features)
    assert halved.dtype == torch.float32 and halved.isfinite()
    halved.backward()
    assert features[0].grad.isfinite().all()


def test_settings_that_cannot_be(pair=PAIR):
    for kind, settings, message in (
        ('CWD', dict(temperature=0), 'CWD(temperature=0): must be a number > 0'),
        ('MGD', dict(mask_ratio=1), 'MGD(mask_ratio=1): must be below 1, or nothing'),
        ('MGD', dict(mask_ratio=-0.1), 'MGD(mask_ratio=-0.1): must be a number >= 0'),
        ('FGD', dict(temperature='a'), "FGD(temperature='a'): must be a number > 0"),
        ('FGD', dict(relation=-1), 'FGD(relation=-1): must be a number >= 0'),
    ):
        with pytest.raises(ValueError) as error:
            build(kind, **settings)
        assert str(error.value).startswith(message)
