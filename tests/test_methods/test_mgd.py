"""Masked generative distillation, against its formula."""

from mmreviewkd.methods import MGD, Pair, View
from mmreviewkd.methods.mgd import masked
from tests.support.views import assert_same_gradients, feature

import torch
import torch.nn.functional as F


def formula(generate, student, teacher, kept):
    """With the convolutions as products with patches, image by image."""

    def convolve(x, conv):
        patches = F.unfold(x[None], 3, padding=1)[0]
        y = conv.weight.flatten(1) @ patches + conv.bias[:, None]
        return y.view(-1, *x.shape[1:])

    total = 0
    for ours, theirs, mask in zip(student, teacher, kept):
        hidden = convolve(ours * mask, generate[0])
        made = convolve(torch.where(hidden > 0, hidden, 0), generate[2])
        total = total + sum(
            (a - b) ** 2 for a, b in zip(made.flatten(), theirs.flatten())
        )
    return total / len(student)


def test_equals_the_formula():
    torch.manual_seed(0)
    pair = Pair(['a', 'b'], [3, 2], [3, 3])
    method = MGD.for_pair(pair, mask_ratio=0.4).double()
    student = [feature(2, 3, 4, 3).requires_grad_(), feature(2, 2, 1, 2)]
    teacher = [feature(2, 3, 4, 3, seed=1), feature(2, 3, 1, 2, seed=1)]
    torch.manual_seed(7)
    loss = method.losses(View(student), View(teacher))['loss']
    torch.manual_seed(7)
    kept = [torch.rand(2, 1, *x.shape[2:]) >= 0.4 for x in student]
    assert 0 < kept[0].sum() < 24
    second = method.align[1](student[1])
    expected = sum(
        formula(*level)
        for level in zip(method.generate, (student[0], second), teacher, kept)
    )
    assert_same_gradients(loss, expected, student[0], *method.parameters())


def test_gradcheck():
    torch.manual_seed(0)
    method = MGD(Pair(['a'], [2], [2])).double()
    teacher = feature(1, 2, 3, 3, seed=1)

    def loss(student):
        torch.manual_seed(7)
        return method.losses(View([student]), View([teacher]))['loss']

    assert torch.autograd.gradcheck(loss, feature(1, 2, 3, 3).requires_grad_())


def test_masks_cells_of_all_channels_at_the_ratio():
    feature = torch.ones(8, 3, 50, 50)
    torch.manual_seed(0)
    first, second = masked(feature, 0.65), masked(feature, 0.65)
    assert torch.equal(first, first[:, :1].expand_as(first))
    assert set(first.unique().tolist()) == {0, 1}
    assert abs(first.mean() - 0.35) < 0.01
    # each step and each image has its own
    assert not torch.equal(first, second) and not torch.equal(first[0], first[1])
    assert torch.equal(masked(feature, 0.0), feature)


def test_a_resumed_run_draws_the_same_masks():
    feature = torch.ones(2, 3, 4, 4)
    masked(feature, 0.5)
    state = torch.get_rng_state()
    first = masked(feature, 0.5)
    torch.set_rng_state(state)
    assert torch.equal(masked(feature, 0.5), first)
