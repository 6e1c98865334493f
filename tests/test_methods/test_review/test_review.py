"""The review of all levels, against the method as the paper states it."""

from copy import deepcopy

from mmreviewkd.commands import textbook
from mmreviewkd.methods import Review, View

import pytest
import torch

TOLERANCE = dict(rtol=1e-9, atol=1e-9)

# name: (student channels, teacher channels, mid channels, student sizes,
# target sizes), shallow to deep
CASES = {
    'one level': ([3], [5], 4, [(6, 5)], [(6, 5)]),
    'one level, resized': ([3], [5], None, [(3, 5)], [(6, 5)]),
    'two levels': ([3, 4], [6, 7], 5, [(8, 8), (4, 4)], [(8, 8), (4, 4)]),
    'odd sizes, as in an FPN': (
        [4, 4, 4, 4, 4],
        [4, 4, 4, 4, 4],
        None,
        [(25, 42), (13, 21), (7, 11), (4, 6), (2, 3)],
        None,
    ),
    'channels differ': ([3, 5, 7], [8, 2, 6], 4, [(9, 7), (5, 4), (3, 2)], None),
    'larger targets, as in ShuffleNet': (
        [3, 5, 7, 7],
        [2, 4, 6, 6],
        None,
        [(16, 16), (8, 8), (4, 4), (1, 1)],
        [(32, 32), (16, 16), (8, 8), (1, 1)],
    ),
    'smaller targets': (
        [3, 4, 5],
        [6, 5, 4],
        3,
        [(12, 10), (7, 5), (4, 3)],
        [(5, 6), (3, 3), (1, 2)],
    ),
    'targets of another shape': (
        [3, 4, 5],
        [6, 5, 4],
        3,
        [(8, 8), (4, 4), (2, 2)],
        [(8, 12), (6, 4), (1, 3)],
    ),
    'two levels of one size, as in VGG': (
        [3, 4, 5],
        [3, 4, 5],
        None,
        [(8, 8), (4, 4), (4, 4)],
        None,
    ),
}


def make(name, batch=3, dtype=torch.float64, seed=0):
    """A Review with random statistics and biases, features and targets."""
    in_channels, out_channels, mid, sizes, target_sizes = CASES[name]
    torch.manual_seed(seed)
    review = Review(in_channels, out_channels, mid)
    for module in review.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 2)
            torch.nn.init.normal_(module.bias)
            torch.nn.init.normal_(module.running_mean)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
    features = [
        torch.randn(batch, c, *size, dtype=dtype, requires_grad=True)
        for c, size in zip(in_channels, sizes)
    ]
    targets = [
        torch.randn(batch, c, *size, dtype=dtype)
        for c, size in zip(out_channels, target_sizes or sizes)
    ]
    return review.to(dtype), features, targets


def sizes_of(targets):
    return [target.shape[-2:] for target in targets]


def textbook_step(review, features, targets, steps=1):
    """Losses and gradients; running statistics are left in ``params``."""
    params = {
        name: value.detach()
        .clone()
        .requires_grad_(
            isinstance(dict(review.named_parameters()).get(name), torch.nn.Parameter)
        )
        for name, value in review.state_dict().items()
    }
    features = [x.detach().clone().requires_grad_() for x in features]
    for _ in range(steps):
        reviewed = textbook.review(params, features, sizes_of(targets), review.training)
        losses = torch.stack([textbook.hcl(r, t) for r, t in zip(reviewed, targets)])
        # different weights, so that levels cannot be mistaken for another
        (losses * torch.arange(1.0, 1 + len(losses))).sum().backward()
    return reviewed, losses, features, params


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('name', CASES)
def test_equals_textbook(name, training):
    review, features, targets = make(name)
    review.train(training)
    reviewed, expected, leaves, params = textbook_step(review, features, targets)
    torch.testing.assert_close(
        deepcopy(review)(features, sizes_of(targets)), reviewed, **TOLERANCE
    )

    losses = review.loss(features, targets)
    assert losses.shape == (len(targets),)
    torch.testing.assert_close(losses, expected, **TOLERANCE)

    (losses * torch.arange(1.0, 1 + len(losses))).sum().backward()
    for mine, leaf in zip(features, leaves):
        torch.testing.assert_close(mine.grad, leaf.grad, **TOLERANCE)
    for key, parameter in review.named_parameters():
        torch.testing.assert_close(
            parameter.grad, params[key].grad, msg=key, **TOLERANCE
        )
    for key, value in review.named_buffers():
        if key.endswith('num_batches_tracked'):
            # once for each step, whatever the backward pass does
            assert value == int(training), key
        else:
            torch.testing.assert_close(value, params[key], msg=key, **TOLERANCE)


@pytest.mark.parametrize('name', CASES)
def test_forward_and_loss_agree(name):
    review, features, targets = make(name)
    other = deepcopy(review)
    losses = review.loss(features, targets)
    reviewed = other(features, sizes_of(targets))
    assert [x.shape for x in reviewed] == [x.shape for x in targets]
    torch.testing.assert_close(
        losses,
        torch.stack([textbook.hcl(r, t) for r, t in zip(reviewed, targets)]),
        **TOLERANCE,
    )
    ours = torch.autograd.grad(losses.sum(), features)
    theirs = torch.autograd.grad(
        sum(textbook.hcl(r, t) for r, t in zip(reviewed, targets)), features
    )
    torch.testing.assert_close(ours, theirs, **TOLERANCE)
    # and so do the statistics that the two leave behind
    for (key, mine), value in zip(
        review.state_dict().items(), other.state_dict().values()
    ):
        torch.testing.assert_close(mine, value, msg=key, **TOLERANCE)


def test_gradients_of_two_passes_add_up():
    # the second must not see statistics, or counters, that the first has touched
    review, features, targets = make('channels differ')
    _, _, leaves, params = textbook_step(review, features, targets, steps=2)
    weights = torch.arange(1.0, 4)
    total = sum((review.loss(features, targets) * weights).sum() for _ in range(2))
    total.backward()
    for mine, leaf in zip(features, leaves):
        torch.testing.assert_close(mine.grad, leaf.grad, **TOLERANCE)
    for key, parameter in review.named_parameters():
        torch.testing.assert_close(
            parameter.grad, params[key].grad, msg=key, **TOLERANCE
        )
    for key, value in review.named_buffers():
        if key.endswith('num_batches_tracked'):
            assert value == 2
        else:
            torch.testing.assert_close(value, params[key], msg=key, **TOLERANCE)


def test_a_retained_graph_gives_the_same_gradients_again():
    review, features, targets = make('channels differ')
    loss = review.loss(features, targets).sum()
    first = torch.autograd.grad(loss, features, retain_graph=True)
    again = torch.autograd.grad(loss, features)
    torch.testing.assert_close(first, again)
    assert all(
        value == 1
        for key, value in review.named_buffers()
        if key.endswith('num_batches_tracked')
    )


def test_equals_textbook_in_float32():
    name = 'odd sizes, as in an FPN'
    review, features, targets = make(name, dtype=torch.float32)
    exact, _doubles, _ = make(name)
    exact.load_state_dict(review.state_dict())
    _, expected, leaves, _ = textbook_step(
        exact, [x.double() for x in features], [x.double() for x in targets]
    )
    losses = review.loss(features, targets)
    torch.testing.assert_close(losses, expected.float(), rtol=1e-5, atol=1e-6)
    (losses * torch.arange(1.0, 6)).sum().backward()
    for mine, leaf in zip(features, leaves):
        torch.testing.assert_close(mine.grad, leaf.grad.float(), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize('training', [True, False])
def test_gradcheck(training):
    torch.manual_seed(0)
    review = Review([2, 3], [3, 2], 2).double().train(training)
    features = [
        torch.randn(2, 2, 3, 5).double().requires_grad_(),
        torch.randn(2, 3, 2, 3).double().requires_grad_(),
    ]
    targets = [torch.randn(2, 3, 5, 5), torch.randn(2, 2, 2, 3)]
    targets = [target.double() for target in targets]
    assert torch.autograd.gradcheck(lambda *f: review.loss(f, targets), features)


def test_residuals_run_from_deep_to_shallow():
    # the deepest student feature reaches every level's loss, the shallowest
    # its own alone
    review, features, targets = make('channels differ')
    for level, loss in enumerate(review.loss(features, targets)):
        grads = torch.autograd.grad(loss, features, retain_graph=True)
        assert [grad.abs().sum() > 0 for grad in grads] == [
            i >= level for i in range(3)
        ]


def test_no_gradient_for_targets():
    review, features, targets = make('two levels')
    targets = [target.requires_grad_() for target in targets]
    review.loss(features, targets).sum().backward()
    assert [target.grad for target in targets] == [None, None]


@pytest.mark.parametrize(
    'in_channels, mid', [([16, 32, 64, 64], 64), ([24, 1024], 512)]
)
def test_published_mid_channels(in_channels, mid):
    review = Review(in_channels, in_channels)
    for abf in review.levels:
        assert abf.reduce.conv.out_channels == mid
        assert abf.output.conv.in_channels == mid


def test_the_deepest_level_has_no_attention():
    review = Review([3, 4, 5], [3, 4, 5])
    assert [abf.attention is None for abf in review.levels] == [False, False, True]
    assert not any('levels.2.attention' in key for key in review.state_dict())


@pytest.mark.parametrize('method', ['forward', 'loss'])
def test_one_image_with_a_1x1_map_in_train_mode(method):
    name = 'larger targets, as in ShuffleNet'
    review, features, targets = make(name, batch=1)
    before = deepcopy(review.state_dict())
    if method == 'forward':
        out = review(features, sizes_of(targets))
        torch.stack([x.square().mean() for x in out]).sum().backward()
    else:
        out = review.loss(features, targets)
        out.sum().backward()
    assert all(torch.isfinite(x).all() for x in out)
    assert all(torch.isfinite(x.grad).all() for x in features)
    for key, value in review.named_buffers():
        # such a level has no statistics of its own, the others have
        assert torch.equal(value, before[key]) == key.startswith('levels.3.')
    # it is normalised as in eval mode, and hands gradients on
    assert features[-1].grad.abs().sum() > 0
    deepest = Review([7], [6]).double()
    weights = {
        key.replace('levels.3.', 'levels.0.'): value
        for key, value in before.items()
        if key.startswith('levels.3.')
    }
    deepest.load_state_dict({**deepest.state_dict(), **weights})
    expected = deepest.eval().loss(features[-1:], targets[-1:])
    review.load_state_dict(before)
    torch.testing.assert_close(
        review.loss(features, targets)[-1:], expected, **TOLERANCE
    )


def test_without_gradients():
    review, features, targets = make('channels differ')
    expected = deepcopy(review).loss(features, targets)
    with torch.no_grad():
        losses = review.loss(features, targets)
    assert not losses.requires_grad
    torch.testing.assert_close(losses, expected.detach(), **TOLERANCE)


def test_features_that_need_no_gradient():
    # a frozen student: the levels' own parameters are trained all the same
    review, features, targets = make('channels differ')
    _, _, _, params = textbook_step(review, features, targets)
    losses = review.loss([x.detach() for x in features], targets)
    (losses * torch.arange(1.0, 4)).sum().backward()
    for key, parameter in review.named_parameters():
        torch.testing.assert_close(
            parameter.grad, params[key].grad, msg=key, **TOLERANCE
        )


def test_inputs_stay_as_they_are():
    review, features, targets = make('odd sizes, as in an FPN')
    before = [x.detach().clone() for x in features + targets]
    review.loss(features, targets).sum().backward()
    assert all(map(torch.equal, features + targets, before))


def test_mixed_precision():
    review, features, targets = make('two levels', dtype=torch.float32)
    exact = review.loss(features, targets)
    exact_grads = torch.autograd.grad(exact.sum(), features)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = review.loss(features, targets)
    assert losses.dtype == torch.float32
    torch.testing.assert_close(losses, exact, rtol=0.02, atol=0.02)
    losses.sum().backward()
    for parameter in review.parameters():
        assert parameter.grad.dtype == torch.float32
        assert torch.isfinite(parameter.grad).all()
    for feature, grad in zip(features, exact_grads):
        # bfloat16 keeps 8 bits, and the gradients' sizes differ widely
        difference = (feature.grad - grad).norm() / grad.norm()
        assert difference < 0.1


def test_deepcopy_and_state_dict():
    review, features, targets = make('channels differ')
    review.loss(features, targets).sum().backward()
    copied = deepcopy(review)
    reloaded = Review(*CASES['channels differ'][:3]).double()
    reloaded.load_state_dict(review.state_dict())
    expected = review.loss(features, targets)
    for other in (copied, reloaded):
        torch.testing.assert_close(other.loss(features, targets), expected, **TOLERANCE)
    with torch.no_grad():
        review.levels[0].reduce.conv.weight.zero_()
    assert copied.levels[0].reduce.conv.weight.abs().sum() > 0


def test_one_step_lowers_the_loss():
    review, features, targets = make('channels differ')
    optimizer = torch.optim.SGD(review.parameters(), lr=0.01)
    before = review.loss(features, targets).sum()
    before.backward()
    moved = deepcopy(review.state_dict())
    optimizer.step()
    assert all(
        not torch.equal(parameter, moved[key])
        for key, parameter in review.named_parameters()
    )
    assert review.loss(features, targets).sum() < before


@pytest.mark.slow
def test_compiled_losses_and_gradients_are_those_of_eager():
    review, features, targets = make('two levels', dtype=torch.float32)
    compiled = deepcopy(review)
    compiled.compiled = True
    results = []
    for each in (review, compiled):
        views = View(features=features), View(features=targets)
        loss = each.losses(*views)['loss']
        inputs = [*features, *each.parameters()]
        results.append(
            (loss, torch.autograd.grad(loss, inputs), dict(each.named_buffers()))
        )
    torch.testing.assert_close(results[1], results[0], rtol=1e-5, atol=1e-5)
