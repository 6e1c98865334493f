"""A review whose weight follows gradients."""

from mmreviewkd.errors import UserInputError
from mmreviewkd.methods import Pair, Review, View
from mmreviewkd.models.gradients import gradient_norms
from mmreviewkd.models.method_building import build_methods

import pytest
import torch


@pytest.mark.parametrize('factor', [10.0, 0.01])
def test_with_a_weight_of_its_own_the_teachers_scale_is_nothing(factor):
    """Loss, its gradient and the weight, in float64 and over several batches."""
    found = []
    for scale in (1.0, factor):
        torch.manual_seed(0)
        review = Review([4, 8], [6, 12], weight='auto').double()
        for _ in range(3):
            features = [
                torch.randn(2, c, s, s).double().requires_grad_()
                for c, s in ((4, 8), (8, 4))
            ]
            targets = [
                scale * torch.randn(2, c, s, s).double() for c, s in ((6, 8), (12, 4))
            ]
            loss = review.losses(View(features), View(targets))['loss']
            own = torch.autograd.grad(loss, features, retain_graph=True)
            norms = torch.stack([gradient.norm() for gradient in own])
            review.auto.update(norms, torch.tensor([1.0, 2.0]))
            found.append((review.weight_now * loss, review.weight_now, *own))
    torch.testing.assert_close(found[:3], found[3:], rtol=1e-6, atol=1e-9)


def test_the_image_size_is_nothing():
    """A picture of which there are four copies, side by side.

    The distance is the plain one: to HCL's pyramid, the copies are coarser cells.
    """
    torch.manual_seed(0)
    student = [torch.randn(2, c, s, s).double() for c, s in ((4, 8), (8, 4))]
    teacher = [torch.randn(2, c, s, s).double() for c, s in ((6, 8), (12, 4))]
    found = []
    for copies in (1, 2):
        torch.manual_seed(0)
        review = Review([4, 8], [6, 12], weight='auto', distance='l2').double()
        for abf in review.levels:
            abf.output.conv.padding_mode = 'circular'  # without a border
        features, targets = (
            [feature.repeat(1, 1, copies, copies) for feature in levels]
            for levels in (student, teacher)
        )
        for feature in features:
            feature.requires_grad_()
        loss = review.losses(View(features), View(targets))['loss']
        task = torch.stack([feature.pow(4).mean() for feature in features]).sum()
        own, theirs = (gradient_norms(each, features) for each in (loss, task))
        review.auto.update(own, theirs)
        loss = review.weight_now * loss
        loss.backward()
        gradients = [parameter.grad for parameter in review.parameters()]
        found.append((review.weight_now, loss, *gradients))
    torch.testing.assert_close(*found, rtol=1e-6, atol=1e-9)


@pytest.mark.slow
def test_a_compiled_review_is_measured_after_a_step_that_is_not():
    review = Review([4, 8], [6, 12], weight='auto', compile=True)
    shapes = ((4, 8), (8, 4))
    features = [torch.randn(2, c, s, s).requires_grad_() for c, s in shapes]
    targets = [torch.randn(2, c, s, s) for c, s in ((6, 8), (12, 4))]
    # compiled with the first backward pass, which keeps nothing
    review.losses(View(features), View(targets))['loss'].backward()
    loss = review.losses(View(features), View(targets))['loss']
    norms = gradient_norms(loss, features)
    loss.backward()
    assert (norms > 0).all()


def test_the_teacher_is_looked_at_in_the_first_batches_of_a_run(monkeypatch):
    monkeypatch.setattr('mmreviewkd.methods.auto_weight.EARLY', 3)
    review = Review([4], [6], weight='auto')

    def run(iterations, mean):
        for iteration in iterations:
            review.auto.forget_another_run(iteration)
            review.auto.due(iteration)
            review.targets([mean + torch.randn(2, 6, 8, 8)])
        return review.standardize[0].mean.mean().item()

    first = run(range(3), 0.0)
    assert run(range(3, 5), 50.0) == first
    # one that starts with these weights and has another teacher
    assert run(range(2), 50.0) == pytest.approx(50, abs=1)
    review.eval()
    assert run([2], 0.0) == pytest.approx(50, abs=1)


@pytest.mark.parametrize('weight', ['atuo', '30'])
def test_a_word_is_no_weight(weight):
    with pytest.raises(UserInputError, match='must be a number >= 0'):
        build_methods(
            dict(mine=dict(type='Review', weight=weight)),
            Pair(['a'], [4], [6], [8], [8], [0]),
        )
