"""Logits of a student and a teacher, with labels."""

import pytest
import torch


@pytest.fixture
def logits():
    torch.manual_seed(0)
    return (
        torch.randn(6, 5, dtype=torch.float64, requires_grad=True),
        torch.randn(6, 5, dtype=torch.float64),
        torch.arange(6) % 5,
    )
