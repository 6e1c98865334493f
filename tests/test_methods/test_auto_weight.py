"""A weight that is set from the ratio of two gradients."""

import math

from mmreviewkd.methods.auto_weight import EARLY, INTERVAL, RESTART, SHARE, AutoWeight

import pytest
import torch


def measured(*ratios):
    weight = AutoWeight()
    for ratio in ratios:
        update(weight, ratio)
    return weight


def update(weight, ratio):
    weight.update(torch.tensor([ratio, 0.0]), torch.tensor([1.0, 0.0]))


def measuring(weight, run, failed=()):
    """Steps of a run, counted from its first, in which the weight was measured."""
    steps = []
    for i in run:
        if weight.due(i):
            steps.append(i - run[0])
            update(weight, math.inf if i - run[0] in failed else 1.0)
    return steps


def test_the_nearest_multiple_of_the_tasks_gradient():
    own, task = torch.tensor([3.0, 1.0, 50.0]), torch.tensor([2.0, 4.0, 0.0])
    weight = AutoWeight()
    weight.update(own, task)
    errors = [(ratio * task - own).norm() for ratio in (0.49, (6 + 4) / (4 + 16), 0.51)]
    assert errors[1] == min(errors)
    assert weight.value.item() == pytest.approx(SHARE / 0.5)


def test_the_geometric_mean():
    assert measured(2.0).value.item() == pytest.approx(SHARE / 2)
    assert measured(2.0, 8.0).value.item() == pytest.approx(SHARE / 4)
    assert measured(2.0, 8.0, 4.0, 4.0).value.item() == pytest.approx(SHARE / 4)
    weight = measured(*[1.0] * 9, math.e)
    assert weight.log_ratio.item() == pytest.approx(0.1, rel=1e-4)


def test_one_measurement_counts_as_ten_times_the_mean_at_most():
    for wild, sign in ((1e12, 1), (1e-12, -1)):
        weight = measured(*[1.0] * 9, wild)
        assert weight.log_ratio.item() == pytest.approx(sign * 0.23, rel=1e-4)


@pytest.mark.parametrize(
    'own, task', [(0.0, 1.0), (1.0, 0.0), (0.0, 0.0), (math.inf, 1.0), (math.nan, 1.0)]
)
def test_what_cannot_be_measured_changes_nothing(own, task):
    weight = AutoWeight()
    weight.update(torch.tensor([own]), torch.tensor([task]))
    assert weight.value.isnan() and weight.measured == 0
    update(weight, 2.0)
    before = dict(weight.state_dict())
    weight.update(torch.tensor([own]), torch.tensor([task]))
    assert all(torch.equal(v, before[k]) for k, v in weight.state_dict().items())


def test_a_resumed_weight_goes_on():
    straight, first, second = measured(1.0, 2.0, 5.0), measured(1.0, 2.0), AutoWeight()
    second.load_state_dict(first.state_dict())
    update(second, 5.0)
    assert torch.equal(second.value, straight.value)


def test_when_it_is_measured():
    first = 7  # after a warm-up
    weight, resumed = AutoWeight(), AutoWeight()
    # a number from the 100th on
    due = [0, 10, 20, 30, 40, 50, 60, 70, 80, 90]
    assert measuring(weight, range(first, first + 500)) == due
    for each in (weight, AutoWeight()):
        resumed.load_state_dict(each.state_dict())
        assert resumed.begin == each.begin


def test_what_a_start_near_zero_gives_sets_the_weight_for_that_time_alone():
    ratios = dict.fromkeys(range(0, RESTART, INTERVAL), 1000.0)
    ratios |= {50: math.inf, 60: 2.0, 70: 8.0, 80: 4.0, 90: 4.0}
    weight, values = AutoWeight(), {}
    for i in range(EARLY + 1):
        if weight.due(i):
            update(weight, ratios[i])
        values[i] = weight.value.item()
    assert values[49] == pytest.approx(SHARE / 1000)
    # until a measurement succeeds
    assert values[50] == values[59] == values[49]
    assert values[60] == pytest.approx(SHARE / 2)
    assert values[EARLY] == pytest.approx(SHARE / 4)


def test_a_first_step_that_overflows_is_followed_by_a_measurement():
    due = measuring(AutoWeight(), range(7, 40), failed=[0, 1, 10])
    assert due == [0, 1, 2, 10, 20, 30]
    # where nothing can be measured, not each of the 100 steps is tried
    due = measuring(AutoWeight(), range(200), failed=range(200))
    assert due == [*range(10), *range(10, 100, 10)]


@pytest.mark.parametrize('begin, first', [(0, 0), (300, 0), (38, 38), (0, 112)])
def test_a_run_from_the_weights_of_another_starts_anew(begin, first):
    weight = measured(*[100.0] * 20)
    weight.begin = begin
    weight.forget_another_run(0)  # in which the review may be off
    assert measuring(weight, range(first, first + 25)) == [0, 10, 20]
    assert weight.value.item() == pytest.approx(SHARE)


def test_a_resumed_run_does_not():
    weight = measured(100.0)
    weight.begin = 0
    weight.forget_another_run(INTERVAL + 1)
    assert not weight.due(INTERVAL + 1)
    assert weight.measured == 1 and weight.early and not weight.first
    weight.due(EARLY)
    assert not weight.early


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_under_autocast_it_is_the_same(dtype):
    weight = AutoWeight()
    with torch.autocast('cpu', dtype):
        weight.update(torch.tensor([300.0, 0.01]), torch.tensor([300.0, 0.003]))
    assert weight.value.item() == pytest.approx(SHARE)
