"""Views of a student and a teacher made of random features, for tests of methods."""

from mmreviewkd.methods import Pair, View

import torch

PAIR = Pair(
    levels=[f'level {i}' for i in range(4)],
    student_channels=[3, 4, 6, 6],
    teacher_channels=[4, 5, 8, 8],
    strides=[1, 2, 4, 8],
    teacher_strides=[1, 2, 4, 8],
    maps=[0, 1, 2],
    teacher_norms=[(torch.ones(c), torch.zeros(c)) for c in (4, 5, 8, 8)],
)
"""A classifier's: three stages and a vector, for images of 8x8 pixels."""


def feature(*shape, seed=0, dtype=torch.float64):
    """Normal values, always the same of a seed."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=dtype)


def views(images=3, dtype=torch.float64, pair=PAIR):
    """Views of both models, whose features and logits of 5 classes need gradients."""
    found = []
    for seed, channels, strides in (
        (0, pair.student_channels, pair.strides),
        (1, pair.teacher_channels, pair.teacher_strides),
    ):
        maps = [
            feature(images, c, 8 // s, 8 // s, seed=seed, dtype=dtype).requires_grad_()
            for c, s in zip(channels, strides)
        ]
        logits = feature(images, 5, seed=seed, dtype=dtype).requires_grad_()
        labels = torch.arange(images) % 5
        found.append(View(features=maps, logits=logits, labels=labels))
    return tuple(found)


def assert_same_gradients(loss, expected, *inputs):
    """Compare two losses and their gradients for each of the inputs."""
    torch.testing.assert_close(loss, expected, rtol=1e-9, atol=1e-12)
    ours = torch.autograd.grad(loss, inputs, retain_graph=True)
    theirs = torch.autograd.grad(expected, inputs, retain_graph=True)
    for a, b in zip(ours, theirs):
        assert b.abs().max() > 1e-6
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)
