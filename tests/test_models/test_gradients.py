"""Gradients on the student's features, and the weight that is set from them."""

import copy

from mmreviewkd.errors import UserInputError
from mmreviewkd.methods.auto_weight import SHARE
from mmreviewkd.models.features import record
from mmreviewkd.models.gradients import gradient_norms
from tests.support.students import assert_same, losses_of

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.logging import MessageHub


@pytest.fixture(autouse=True)
def first_iteration():
    MessageHub.get_current_instance().update_info('iter', 0)


def recorded(model, data):
    """Losses of a batch, and the matched features they were computed from."""
    distillation = model.distillation
    with record(model, distillation.names) as features:
        losses = losses_of(model, data)
    return losses, [features[ours] for ours, _ in distillation.match.indices]


def norms(loss, features):
    found = torch.autograd.grad(loss, features, retain_graph=True, allow_unused=True)
    zero = torch.zeros(())
    return torch.stack(
        [zero if each is None else each.float().norm() for each in found]
    )


def task_of(model, losses):
    own = {key: value for key, value in losses.items() if 'review' not in key}
    return model.parse_losses(own)[0]


# ------------------------------------------------------------------ the norms
def test_norms_against_autograd():
    a, b, unused, frozen = (torch.randn(2, 3, 4, 4) for _ in range(4))
    features = [x.requires_grad_() for x in (a, b, unused)] + [frozen]
    loss = (a.square() * b.detach()).sum() + 3 * b.sum() + frozen.sum()
    got = gradient_norms(loss, features)
    expected = [(2 * a * b).norm().item(), 3 * 96**0.5, 0, 0]
    torch.testing.assert_close(got, torch.tensor(expected))
    loss.backward()  # the graph is still there
    assert not gradient_norms(torch.tensor(1.0), features).any()


def test_small_gradients_of_half_precision_are_seen():
    feature = torch.ones(1, 64, 8, 8, dtype=torch.half, requires_grad=True)
    small = 1e-8  # not a number of half precision
    norm = gradient_norms((feature.float() * small).sum(), [feature])
    assert norm.tolist() == pytest.approx([small * 64], rel=1e-2)


# -------------------------------------------------------------------- 'auto'
def test_the_gradient_has_its_share(kind):
    model, data = kind.distilled(weight='auto'), kind.batch()
    losses, features = recorded(model, data)
    own = norms(losses['loss_review'], features)
    task = norms(task_of(model, losses), features)
    share = own @ task / (task @ task)
    torch.testing.assert_close(share, torch.tensor(SHARE), rtol=1e-3, atol=0)
    torch.testing.assert_close(losses['review_gradient'], share, rtol=1e-3, atol=0)
    weight = losses['review_weight']
    torch.testing.assert_close(weight, model.review.auto.value)
    names = model.distillation.match.names
    for name, mine, theirs in zip(names, own, task):
        shown = losses[f'review_gradient_{name.replace(" ", "")}']
        # two cells of the deepest level have a BatchNorm, which leaves next to nothing
        # of their gradient: what is left has three digits at most
        digits = 1e-2 if name == names[-1] else 1e-3
        torch.testing.assert_close(shown, mine / theirs, rtol=digits, atol=0)


@pytest.mark.parametrize('kind', ['two_stage', 'classifier'], indirect=True)
def test_between_measurements_the_weight_stays(kind):
    model, data = kind.distilled(weight='auto'), kind.batch()
    first = losses_of(model, data)
    MessageHub.get_current_instance().update_info('iter', 3)
    second = losses_of(model, data)
    assert 'review_gradient' not in second
    assert torch.equal(second['review_weight'], first['review_weight'])


@pytest.mark.parametrize('kind', ['one_stage', 'classifier'], indirect=True)
@pytest.mark.parametrize('factor', [10.0, 0.2])
def test_a_teacher_of_another_scale_is_the_same_teacher(kind, factor, tmp_path):
    # float64, since what float32 rounds grows with each step
    usual, data = kind.distilled(weight='auto').double(), kind.batch()
    other = kind.distilled(weight='auto').double()
    teacher = other.distillation.teacher
    record_features = teacher.forward

    def scaled(*args):
        features, outputs = record_features(*args)
        return [factor * feature for feature in features], outputs

    teacher.forward = scaled
    for iteration in range(2):
        MessageHub.get_current_instance().update_info('iter', iteration)
        found = []
        for model in (usual, other):
            losses = losses_of(model, data)
            model.zero_grad()
            model.parse_losses(losses)[0].backward()
            gradient = torch.cat([p.grad.flatten() for p in model.parameters()])
            found.append((losses['loss_review'], gradient / gradient.norm()))
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter -= 0.01 * parameter.grad
        (loss, gradient), (other_loss, other_gradient) = found
        torch.testing.assert_close(other_loss, loss, rtol=1e-5, atol=0)
        assert (other_gradient - gradient).norm() < 1e-5


@pytest.mark.parametrize('kind', ['two_stage'], indirect=True)
def test_a_student_of_another_scale_is_the_same_student(kind):
    usual, data = kind.distilled(weight='auto'), kind.batch()
    other = kind.distilled(weight='auto')
    shown, gradients = [], []
    # large features, so that what BatchNorm adds to their variance is nothing
    for model, scale in ((usual, 1e3), (other, 1e4)):
        larger = [p for fpn in model.neck.fpn_convs for p in fpn.parameters()]
        fc = model.roi_head.bbox_head.shared_fcs[0]
        smaller = [model.rpn_head.rpn_conv.weight, fc.weight]
        with torch.no_grad():
            for parameter in larger:
                parameter *= scale
            for parameter in smaller:
                parameter /= scale
        losses = losses_of(model, data)
        model.parse_losses(losses)[0].backward()
        for parameters, times in ((larger, scale), (smaller, 1 / scale)):
            for parameter in parameters:
                parameter.grad *= times
        shown.append([losses[key] for key in ('loss_review', 'review_weight')])
        gradients.append({name: p.grad for name, p in model.named_parameters()})
    torch.testing.assert_close(*shown, rtol=1e-4, atol=0)
    # some norms are above 100
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('kind', ['two_stage', 'rtmdet', 'classifier'], indirect=True)
@pytest.mark.parametrize('weight', [1.0, 'auto'])
def test_observing_changes_no_number(kind, weight):
    usual, observed = (kind.distilled(weight=weight) for _ in range(2))
    data = kind.batch()
    for iteration in (0, 3):  # the weight follows gradients in the first alone
        MessageHub.get_current_instance().update_info('iter', iteration)
        observed.distillation.observed = iteration == 3
        got, expected = losses_of(observed, data), losses_of(usual, data)
    ratios = {key: value for key, value in got.items() if '_gradient' in key}
    assert set(got) - set(expected) == set(ratios)
    assert ratios['review_gradient'] > 0
    assert_same({key: got[key] for key in expected}, expected)
    for model, losses in ((usual, expected), (observed, got)):
        model.parse_losses(losses)[0].backward()
    assert_same(
        *({k: p.grad for k, p in m.named_parameters()} for m in (usual, observed))
    )
    assert_same(dict(observed.state_dict()), dict(usual.state_dict()))


@pytest.mark.parametrize('kind', ['one_stage', 'classifier'], indirect=True)
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_gradients_are_those_of_a_backward_pass_outside_of_autocast(kind, dtype):
    model, data = kind.distilled(weight='auto'), kind.batch()
    with torch.autocast('cpu', dtype):
        losses, features = recorded(model, data)
    own = norms(losses['loss_review'], features)
    task = norms(task_of(model, losses), features)
    torch.testing.assert_close(
        own @ task / (task @ task), torch.tensor(SHARE), rtol=0.02, atol=0
    )


@pytest.mark.parametrize('kind', ['two_stage', 'classifier'], indirect=True)
def test_checkpoints_have_the_weight_and_the_plain_student_takes_them(kind):
    model, data = kind.distilled(weight='auto'), kind.batch()
    losses_of(model, data)
    saved = copy.deepcopy(model.state_dict())
    fresh = kind.distilled(seed=5, weight='auto')
    fresh.load_state_dict(saved)
    assert torch.equal(fresh.review.auto.value, model.review.auto.value)
    MessageHub.get_current_instance().update_info('iter', 1)
    assert_same(losses_of(fresh, data), losses_of(model, data))
    plain = kind.plain()
    unexpected = plain.load_state_dict(saved, strict=False).unexpected_keys
    assert all(key.startswith('review.') for key in unexpected)


# ------------------------------------------------------------------ bad input
@pytest.mark.parametrize('kind', ['one_stage'], indirect=True)
def test_no_gradients_on_the_features(kind):
    model = kind.distilled(weight='auto')
    model.backbone.requires_grad_(False)
    model.neck.requires_grad_(False)
    with pytest.raises(UserInputError, match='modules up to them are frozen; give a'):
        losses_of(model, kind.batch())


@pytest.mark.parametrize('kind', ['classifier'], indirect=True)
def test_no_loss_of_the_students_own(kind):
    model = kind.distilled(weight='auto', loss_weight=0.0)
    with pytest.raises(FloatingPointError, match='review_weight could not be set in'):
        losses_of(model, kind.batch())


@pytest.mark.parametrize('kind', ['classifier'], indirect=True)
def test_another_word(kind):
    with pytest.raises(UserInputError, match=r"weight='atuo'.*number >= 0, or 'auto'"):
        kind.distilled(weight='atuo')


@pytest.mark.parametrize(
    'review, message',
    [
        (dict(weight=1.0, share=0.5), "share=0.5.*for weight='auto', not for weight=1"),
        (dict(weight='auto', share=0), 'share=0.: must be a number > 0'),
        (dict(weight='auto', share='big'), "share='big'.: must be a number > 0"),
    ],
)
@pytest.mark.parametrize('kind', ['classifier'], indirect=True)
def test_no_share(kind, review, message):
    with pytest.raises(UserInputError, match=message):
        MODELS.build(dict(kind.config(), review=review))


@pytest.mark.parametrize('kind', ['two_stage', 'classifier'], indirect=True)
def test_without_gradients_nothing_is_measured(kind):
    model, data = kind.distilled(), kind.batch()
    model.distillation.observed = True
    with torch.no_grad():
        assert not any('gradient' in key for key in losses_of(model, data))
