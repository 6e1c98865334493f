"""Features of random numbers, for the tests of methods."""

import torch


def feature(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=dtype)


def assert_same_value_and_gradient(loss, expected, *inputs):
    """To 1e-9, for every input."""
    torch.testing.assert_close(loss, expected, rtol=1e-9, atol=1e-12)
    found = torch.autograd.grad(loss, inputs, retain_graph=True)
    others = torch.autograd.grad(expected, inputs, retain_graph=True)
    assert all(other.abs().max() > 1e-6 for other in others)
    torch.testing.assert_close(found, others, rtol=1e-9, atol=1e-12)
