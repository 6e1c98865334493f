"""Losses of methods that are not finite: an overflow to skip, or the end of a run."""

import copy
import pickle
from collections import OrderedDict

from mmreviewkd.methods import View
from mmreviewkd.models.finite import FiniteCheck
from tests.support.students import losses_of

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.runner.checkpoint import get_state_dict

NAN, INF = torch.tensor(torch.nan), torch.tensor(torch.inf)
ONE = torch.tensor(1.0)


def view(*levels, logits=()):
    features = [torch.full((1, 1, 2, 2), value) for value in levels]
    return View(features=features, logits=torch.tensor(logits))


def message(losses, student, teacher, half=False):
    check = FiniteCheck(['stride 8', 'stride 16'])
    check.overflows = 40
    with torch.autocast('cuda', torch.float16, enabled=half):
        with pytest.raises(FloatingPointError) as error:
            check(losses, student, teacher)
    return str(error.value)


@pytest.fixture(autouse=True)
def no_run_before(monkeypatch):
    # whose iteration would be named
    monkeypatch.setattr(MessageHub, '_instance_dict', OrderedDict())


@pytest.fixture(autouse=True)
def no_gpu_needed(monkeypatch):
    # autocast for CUDA is off where there is none
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)


END = '. Training stops; checkpoints written so far are whole'


@pytest.mark.parametrize(
    'losses, student, teacher, expected',
    [
        (
            dict(loss_kd=NAN),
            view(logits=[1.0, torch.nan]),
            view(logits=[1.0, 2.0]),
            "loss_kd is nan in iteration 1; not finite: the student's logits",
        ),
        (
            dict(loss_review=INF, review_stride8=INF, review_stride16=ONE),
            view(1.0, 1.0),
            view(torch.inf, 1.0),
            'review_stride8 is inf in iteration 1; not finite: '
            "the teacher's feature at stride 8",
        ),
        (
            # one level spoils the next, so that the deepest is where it began
            dict(loss_review=NAN, review_stride8=NAN, review_stride16=NAN),
            view(torch.nan, torch.nan),
            view(1.0, torch.nan),
            'review_stride16 is nan in iteration 1; not finite: '
            "the teacher's feature at stride 16, the student's feature at stride 16",
        ),
        (
            dict(loss_at=ONE, loss_review=INF),
            view(1.0, 1.0),
            view(1.0, 1.0),
            'loss_review is inf in iteration 1; what it was computed from is finite',
        ),
    ],
)
@pytest.mark.parametrize('half', (False, True))
def test_what_is_said(losses, student, teacher, expected, half):
    assert message(losses, student, teacher, half) == expected + END


def test_an_overflow_of_half_precision_is_left_to_the_scaler():
    check = FiniteCheck(['stride 8'])
    with torch.autocast('cuda', torch.float16):
        for _ in range(40):
            check(dict(loss_review=INF), view(torch.inf), view(1.0))
        with pytest.raises(FloatingPointError):
            check(dict(loss_review=INF), view(torch.inf), view(1.0))
        # one step that is finite begins the count anew
        check(dict(loss_review=ONE), view(1.0), view(1.0))
        assert check.overflows == 0
        with pytest.raises(FloatingPointError, match="the teacher's feature"):
            check(dict(loss_review=INF), view(1.0), view(torch.inf))


class Arrived:
    """A copy from a GPU that is there once it is waited for."""

    def __init__(self):
        self.waited = 0

    def synchronize(self):
        self.waited += 1

    def __reduce_ex__(self, protocol):
        raise TypeError("cannot pickle 'Event' object")  # as torch.cuda.Event


@pytest.fixture
def copies(monkeypatch):
    """The copies of a GPU's steps to the host, as on a GPU one behind."""
    events = []

    def to_host(values):
        events.append(Arrived())
        return values, events[-1]

    monkeypatch.setattr('mmreviewkd.models.finite._to_host', to_host)
    return events


def test_a_gpus_step_is_judged_when_the_next_begins(copies):
    check, inf = FiniteCheck(['stride 8']), dict(loss_review=INF)
    MessageHub.get_instance('run').update_info('iter', 6)
    check(dict(loss_review=ONE), view(1.0), view(1.0))
    assert [each.waited for each in copies] == [0]
    MessageHub.get_instance('run').update_info('iter', 7)
    check(inf, view(torch.inf), view(1.0))
    assert [each.waited for each in copies] == [1, 0]
    MessageHub.get_instance('run').update_info('iter', 8)
    with pytest.raises(FloatingPointError) as error:
        check(dict(loss_review=ONE), view(1.0), view(1.0))
    assert str(error.value) == (
        "loss_review is inf in iteration 8; not finite: the student's feature at "
        'stride 8' + END
    )
    check.finish()  # once


@pytest.mark.parametrize(
    'twin', [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_a_gpus_step_is_judged_before_a_copy(copies, twin):
    check = FiniteCheck(['stride 8'])
    check(dict(loss_review=ONE), view(1.0), view(1.0))
    assert vars(twin(check)) == dict(levels=['stride 8'], overflows=0, _step=None)
    assert [each.waited for each in copies] == [1]
    check(dict(loss_review=INF), view(torch.inf), view(1.0))
    with pytest.raises(FloatingPointError, match='loss_review is inf'):
        twin(check)


@pytest.mark.parametrize('save', [lambda m: m.state_dict(), get_state_dict])
def test_weights_of_such_a_step_are_not_saved(distiller, copies, save):
    model = distiller()
    losses_of(model)
    save(model)
    model.neck.fpn_convs[2].conv.bias.data[0] = float('nan')
    losses_of(model)
    with pytest.raises(FloatingPointError, match='review_stride16 is nan'):
        save(model)


def test_nothing_to_look_at():
    FiniteCheck([])({}, View(), View())


@pytest.mark.parametrize('side', ['student', 'teacher'])
def test_a_review_that_is_not_finite_stops_and_names_the_level(distiller, side):
    model = distiller()
    conv = (
        (model if side == 'student' else model.distillation.teacher.model)
        .neck.fpn_convs[2]
        .conv
    )
    conv.bias.data[0] = float('nan')
    MessageHub.get_instance('nan').update_info('iter', 41)
    with pytest.raises(FloatingPointError) as error:
        losses_of(model)
    message = str(error.value)
    assert message.startswith(
        'review_stride16 is nan in iteration 42; '
        f"not finite: the {side}'s feature at stride 16"
    )


def test_what_is_only_shown_stops_nothing():
    FiniteCheck([])(dict(loss_at=ONE, at_ratio=NAN), View(), View())
