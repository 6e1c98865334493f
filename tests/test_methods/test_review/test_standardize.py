"""Targets without mean and scale."""

from mmreviewkd.methods.review.standardize import Standardize

import pytest
import torch


def feature(seed=0):
    generator = torch.Generator().manual_seed(seed)
    scale = torch.tensor([0.5, 2.0, 3.0])[:, None, None]
    return scale * torch.randn(4, 3, 6, 5, generator=generator) + 7 * scale


def test_against_the_formula():
    first, second = feature(), feature(1)
    standardize = Standardize(3)
    standardize(first)
    result = standardize(second)
    together = torch.cat([first, second])
    mean = together.mean((0, 2, 3), keepdim=True)
    variance = together.var((0, 2, 3), unbiased=False, keepdim=True)
    # a hundredth of the mean variance is added, 1e-8 of the mean square is not seen
    expected = (second - mean) / (variance + 0.01 * variance.mean()).sqrt()
    torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('factor', [0.1, 10.0, -3.0])
def test_no_scale(factor):
    result, scaled = Standardize(3), Standardize(3)
    for seed in range(3):
        expected = result(feature(seed)) * (1 if factor > 0 else -1)
        got = scaled(factor * feature(seed))
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_channels_that_do_not_vary():
    x = feature()
    x[:, 1] = 4.0
    assert Standardize(3)(x)[:, 1].abs().max() < 1e-4
    assert torch.equal(Standardize(3)(torch.zeros(2, 3, 1, 1)), torch.zeros(2, 3, 1, 1))
    one = Standardize(3)(torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1))
    assert one.abs().max() == 0


def test_outside_of_training_it_learns_nothing():
    standardize = Standardize(3)
    # nothing is known yet
    assert torch.equal(standardize.eval()(feature()), feature())
    standardize.train()(feature())
    before = standardize.mean.clone()
    standardize.eval()(feature(1))
    assert torch.equal(standardize.mean, before)


def test_half_precision_overflows_nowhere():
    x = 300 * feature()
    result = Standardize(3)(x.half())
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, Standardize(3)(x), rtol=0, atol=0.02)
