"""Targets without mean and scale."""

from mmreviewkd.methods.review.standardize import Standardize

import pytest
import torch


def feature(seed=0):
    generator = torch.Generator().manual_seed(seed)
    scale = torch.tensor([0.5, 2.0, 3.0])[:, None, None]
    return scale * torch.randn(4, 3, 6, 5, generator=generator) + 7 * scale


def updated(*features, anew=0):
    """One that starts anew with the batch of this index."""
    standardize = Standardize(3)
    for i, x in enumerate(features):
        standardize.update(x, anew=i == anew)
    return standardize


def test_against_the_formula():
    first, second = feature(), feature(1)
    standardize = updated(feature(2), first, second, anew=1)
    result = standardize(second)
    together = torch.cat([first, second])
    mean = together.mean((0, 2, 3), keepdim=True)
    variance = together.var((0, 2, 3), unbiased=False, keepdim=True)
    # a hundredth of the mean variance is added, 1e-8 of the mean square is not seen
    expected = (second - mean) / (variance + 0.01 * variance.mean()).sqrt()
    torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('factor', [0.1, 10.0, -3.0])
def test_no_scale(factor):
    features = [feature(seed) for seed in range(3)]
    standardize, scaled = updated(*features), updated(*(factor * x for x in features))
    for x in features:
        expected = standardize(x) * (1 if factor > 0 else -1)
        torch.testing.assert_close(scaled(factor * x), expected, rtol=1e-4, atol=1e-4)


def test_channels_that_do_not_vary():
    x = feature()
    x[:, 1] = 4.0
    assert updated(x)(x)[:, 1].abs().max() < 1e-4
    zeros = torch.zeros(2, 3, 1, 1)
    assert torch.equal(updated(zeros)(zeros), zeros)
    one = torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1)
    assert updated(one)(one).abs().max() == 0


def test_before_anything_is_known_it_changes_nothing():
    x = feature()
    assert torch.equal(Standardize(3)(x), x) and torch.equal(x, feature())


def test_half_precision_overflows_nowhere():
    x = 300 * feature()
    result = updated(x.half())(x.half())
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, updated(x)(x), rtol=0, atol=0.02)
