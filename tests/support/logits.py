"""What losses of logits are made of, number by number."""

from tests.support.views import feature

import torch


def standardized_rows(logits):
    """Rows with the mean 0 and the standard deviation 1."""
    rows = []
    for row in logits:
        mean = sum(row) / len(row)
        deviation = (sum((z - mean) ** 2 for z in row) / (len(row) - 1)) ** 0.5
        rows.append([(z - mean) / (1e-7 + deviation) for z in row])
    return rows


def softened(row, temperature):
    """Class probabilities of one row of logits."""
    powers = [(z / temperature).exp() for z in row]
    return [power / sum(powers) for power in powers]


def divergence(p, q):
    """KL divergence of two lists of probabilities, the teacher's first."""
    return sum(a * (a / b).log() for a, b in zip(p, q))


def assert_computed_in_float32(loss_of, dtype):
    """Compare a loss of half-precision logits with that of the same in float64."""
    # a loss above 65504, where float16 ends, and one that it rounds
    opposite = 6e4 * torch.eye(2, 100).roll(1, 0), 6e4 * torch.eye(2, 100)
    small = feature(2, 100), 2 * feature(2, 100)
    for pair in (opposite, small):
        student, teacher = (logits.to(dtype) for logits in pair)
        expected = loss_of(student.double(), teacher.double()).float()
        assert expected > 65504 if pair is opposite else expected < 50
        student.requires_grad_()
        for autocast in (False, True):
            with torch.autocast('cpu', torch.bfloat16, enabled=autocast):
                loss = loss_of(student, teacher)
            torch.testing.assert_close(loss, expected, rtol=1e-5, atol=0)
            (grad,) = torch.autograd.grad(loss, student)
            assert grad.isfinite().all()
