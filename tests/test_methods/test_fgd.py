"""Focal and global distillation, against its formula."""

import math

from mmreviewkd.methods import FGD, Pair, View
from mmreviewkd.methods.fgd import (
    GlobalContext,
    attention,
    background_mask,
    foreground_mask,
)
from tests.support.views import assert_same_gradients, feature

import torch
import torch.nn.functional as F

BOXES = [
    [[5.0, 3.0, 14.0, 9.0], [0.0, 0.0, 30.0, 15.0], [2.0, 2.0, 2.0, 2.0]],
    [],
    [[-20.0, 4.0, 3.0, 9.0], [100.0, 100.0, 120.0, 130.0], [9.0, 9.0, 5.0, 5.0]],
]

WEIGHTS = dict(foreground=3.0, background=2.0, attention=0.7, relation=0.1)


def tensors(boxes, dtype=torch.float64):
    return [torch.tensor(each, dtype=dtype).view(-1, 4) for each in boxes]


def masks_of(boxes, height, width, stride):
    """Cell by cell and box by box."""
    foreground = torch.zeros(height, width, dtype=torch.float64)
    for x1, y1, x2, y2 in boxes:
        left, right = math.floor(x1 / stride), math.ceil(x2 / stride)
        top, bottom = math.floor(y1 / stride), math.ceil(y2 / stride)
        for y in range(max(top, 0), min(bottom, height - 1) + 1):
            for x in range(max(left, 0), min(right, width - 1) + 1):
                share = 1 / (right - left + 1) / (bottom - top + 1)
                foreground[y, x] = max(foreground[y, x], share)
    free = int((foreground == 0).sum())
    return foreground, (foreground == 0).double() / max(free, 1)


def attention_of(feature, temperature):
    """Of one image, (C, H, W)."""
    channels, height, width = feature.shape
    shares = []
    for means in (
        [
            feature[:, y, x].abs().sum() / channels
            for y in range(height)
            for x in range(width)
        ],
        [channel.abs().sum() / (height * width) for channel in feature],
    ):
        powers = [(mean / temperature).exp() for mean in means]
        shares.append(torch.stack([len(means) * p / sum(powers) for p in powers]))
    return shares[0].view(height, width), shares[1]


def context_of(block, feature):
    """GcBlock of one image, (C, H, W)."""
    cells = feature.flatten(1)
    scores = block.mask.weight.flatten() @ cells + block.mask.bias
    pooled = (
        sum(s * cell for s, cell in zip(scores.exp(), cells.T)) / scores.exp().sum()
    )
    first, norm, _, last = block.transform
    hidden = first.weight.flatten(1) @ pooled + first.bias
    centred = hidden - hidden.mean()
    hidden = centred / (centred.square().mean() + 1e-5).sqrt()
    hidden = (hidden * norm.weight.flatten() + norm.bias.flatten()).clamp(min=0)
    return feature + (last.weight.flatten(1) @ hidden + last.bias).view(-1, 1, 1)


def formula(method, level, student, teacher, boxes):
    """Image by image, cell by cell."""
    stride, temperature = method.strides[level], method.temperature
    total = 0
    for ours, theirs, each in zip(student, teacher, boxes):
        masks = masks_of(each, *ours.shape[1:], stride)
        spatial, channel = attention_of(theirs, temperature)
        own_spatial, own_channel = attention_of(ours, temperature)
        for mask, weight in zip(masks, (3.0, 2.0)):
            for y in range(ours.size(1)):
                for x in range(ours.size(2)):
                    error = (channel * (theirs[:, y, x] - ours[:, y, x]) ** 2).sum()
                    total = total + weight * mask[y, x] * spatial[y, x] * error
        different = (spatial - own_spatial).abs().sum()
        total = total + 0.7 * (different + (channel - own_channel).abs().sum())
        contexts = (
            context_of(block[level], x)
            for block, x in (
                (method.student_context, ours),
                (method.teacher_context, theirs),
            )
        )
        total = total + 0.1 * sum(
            (a - b) ** 2 for a, b in zip(*(c.flatten() for c in contexts))
        )
    return total / len(student)


def trained(method):
    """With other parameters than at the start, where contexts add nothing."""
    for index, parameter in enumerate(method.parameters()):
        noise = feature(*parameter.shape, seed=index)
        parameter.data = noise / 2 + parameter.data.double()
    return method


def test_equals_the_formula():
    pair = Pair(['stride 4', 'stride 8'], [6, 6], [6, 6], [4, 8])
    method = trained(FGD.for_pair(pair, **WEIGHTS))
    student = [feature(3, 6, 4, 7).requires_grad_(), feature(3, 6, 2, 4)]
    teacher = [feature(3, 6, 4, 7, seed=1), feature(3, 6, 2, 4, seed=1)]
    boxes = tensors(BOXES)
    losses = method.losses(View(student, boxes=boxes), View(teacher, boxes=boxes))
    expected = sum(
        formula(method, level, *features, BOXES)
        for level, features in enumerate(zip(student, teacher))
    )
    # a score's offset has no effect on a softmax
    learners = [p for name, p in method.named_parameters() if 'mask.bias' not in name]
    assert_same_gradients(losses['loss'], expected, student[0], *learners)
    parts = {key: value for key, value in losses.items() if key != 'loss'}
    assert list(parts) == ['foreground', 'background', 'attention', 'relation']
    torch.testing.assert_close(sum(parts.values()), losses['loss'].detach())
    assert all(value > 0 for value in parts.values())


def test_gradcheck():
    method = trained(FGD(Pair(['a'], [2], [2], [4]), **WEIGHTS))
    teacher, boxes = feature(2, 2, 3, 3, seed=1), tensors(BOXES[:2])

    def loss(student):
        views = View([student], boxes=boxes), View([teacher], boxes=boxes)
        return method.losses(*views)['loss']

    assert torch.autograd.gradcheck(loss, feature(2, 2, 3, 3).requires_grad_())


def test_masks():
    for stride in (1, 4, 8):
        found = [foreground_mask(b, (5, 7), (stride, stride)) for b in tensors(BOXES)]
        masks = torch.stack(found), background_mask(torch.stack(found))
        expected = zip(*(masks_of(boxes, 5, 7, stride) for boxes in BOXES))
        torch.testing.assert_close(masks, tuple(map(torch.stack, expected)))
    # the whole map is an object
    full = foreground_mask(tensors([[[0, 0, 28, 20]]])[0], (5, 7), (4, 4))
    assert (full == 1 / 48).all()
    assert (background_mask(full[None]) == 0).all()


def test_a_map_of_another_shape_than_square():
    # x counts columns and y rows
    mask = foreground_mask(torch.tensor([[8.0, 0.0, 15.0, 3.0]]), (2, 6), (4, 4))
    assert (mask > 0).tolist() == [[False, False, True, True, True, False]] * 2


def test_padding_does_not_move_the_masks():
    boxes = tensors([[[5.0, 3.0, 14.0, 9.0]]])[0]
    whole = foreground_mask(boxes, (9, 12), (4, 4))
    assert torch.equal(foreground_mask(boxes, (4, 5), (4, 4)), whole[:4, :5])


def test_a_teacher_of_larger_maps():
    # the student's map is resized, so that a cell has fewer pixels than the stride
    pair, boxes = Pair(['a'], [2], [2], [8]), [torch.tensor([[8.0, 8.0, 15.0, 15.0]])]
    method = FGD(pair)
    student = View([feature(1, 2, 3, 5).float()], boxes=boxes)
    teacher = View([feature(1, 2, 6, 10, seed=1).float()], boxes=boxes)
    fine = FGD(pair._replace(strides=[4]))
    fine.load_state_dict(method.state_dict())
    grown = F.interpolate(student.features[0], (6, 10), mode='bilinear')
    torch.testing.assert_close(
        method.losses(student, teacher),
        fine.losses(View([grown], boxes=boxes), teacher),
    )


def test_attention_has_mean_one_and_follows_the_magnitude():
    spatial, channel = attention(feature(2, 5, 3, 4), 0.5)
    torch.testing.assert_close(spatial.mean((1, 2)), torch.ones(2).double())
    torch.testing.assert_close(channel.mean(1), torch.ones(2).double())
    one = torch.zeros(1, 2, 2, 2)
    one[0, 1, 0, 1] = -4
    spatial, channel = attention(one, 0.5)
    assert spatial[0].argmax() == 1 and channel[0].argmax() == 1


def test_a_context_begins_as_nothing():
    block = GlobalContext(4)
    given = feature(2, 4, 3, 3).float()
    assert torch.equal(block(given), given)
    assert block.mask.weight.abs().sum() > 0 and (block.mask.bias == 0).all()
    assert GlobalContext(1)(feature(2, 1, 3, 3).float()).shape == (2, 1, 3, 3)
