"""Comparison of two functions, values and gradients."""

import torch


def assert_equal_with_gradients(function, textbook, *inputs):
    """Equal outputs, and equal gradients for every input."""
    inputs = [x.requires_grad_() for x in inputs]
    output, expected = function(*inputs), textbook(*inputs)
    torch.testing.assert_close(output, expected)
    grad = torch.randn_like(output)
    torch.testing.assert_close(
        torch.autograd.grad(output, inputs, grad),
        torch.autograd.grad(expected, inputs, grad),
    )
