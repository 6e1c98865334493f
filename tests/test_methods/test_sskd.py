"""SSKD's second phase, against its formula."""

import copy

from mmreviewkd.errors import UserInputError
from mmreviewkd.methods import SSKD, Pair, View
from mmreviewkd.methods.self_supervision import (
    own_images,
    projection_head,
    similarities,
    split_copies,
)
from mmreviewkd.methods.sskd import selected, selective_kd_loss
from mmreviewkd.models.export import export_student
from tests.support.classifiers import classifier
from tests.support.views import feature

import pytest
import torch
from mmdet.registry import MODELS
from torch import nn


@pytest.fixture
def head(tmp_path):
    """Checkpoint of a teacher's head for 6 channels, as the first phase writes it."""
    torch.manual_seed(5)
    path = tmp_path / 'head.pth'
    torch.save(dict(state_dict=save_head(projection_head(6))), path)
    return str(path)


def save_head(head):
    return {f'head.{key}': value for key, value in head.state_dict().items()}


def built(head, **settings):
    torch.manual_seed(0)
    return SSKD(Pair(['a'], [3], [6]), head, **settings).double()


def views(images=4, classes=5, seed=0):
    labels = torch.full((images, 4), -100)
    labels[:, 0] = torch.arange(images) % classes
    return [
        View(
            [feature(4 * images, channels, 2, 2, seed=seed + channels)],
            feature(4 * images, classes, seed=seed + channels + 1),
            labels.flatten(),
        )
        for channels in (3, 6)
    ]


# -- the selection -----------------------------------------------------------


def chosen_by_hand(scores, targets, ratio):
    """Row by row, as the authors write it."""
    ranks = [
        sorted(range(len(row)), key=lambda column: -row[column]).index(target)
        for row, target in zip(scores.tolist(), targets.tolist())
    ]
    wrong = sum(rank > 0 for rank in ranks)
    order = sorted(range(len(ranks)), key=lambda row: ranks[row])
    return sorted(order[: len(ranks) - wrong + int(wrong * ratio)])


@pytest.mark.parametrize('ratio', [0.0, 0.3, 0.7, 0.75, 1.0])
@pytest.mark.parametrize('rows', [1, 3, 40])
def test_rows_that_are_selected(rows, ratio):
    for seed in range(20):
        scores, targets = feature(rows, 4, seed=seed), torch.arange(rows) % 4
        chosen = selected(scores, targets, ratio)
        assert chosen.nonzero().flatten().tolist() == chosen_by_hand(
            scores, targets, ratio
        )


def test_ranks_select_best_first_then_in_order():
    # ranks 2, 0, 1, 1, 2, 1: of the five wrong ones three, those of rank 1
    rows = [[3, 2, 1], [1, 0, 0], [2, 1, 0], [2, 0, 1], [3, 2, 1], [2, 1, 0]]
    targets = torch.tensor([2, 0, 1, 2, 2, 1])
    chosen = selected(torch.tensor(rows), targets, 0.6)
    assert chosen.tolist() == [False, True, True, True, False, True]
    # two of the three of rank 1: the first
    chosen = selected(torch.tensor(rows), targets, 0.4)
    assert chosen.tolist() == [False, True, True, True, False, False]


def divergence(student, teacher, rows, temperature):
    """KL divergence of some rows, class by class."""
    total = 0
    for ours, theirs in zip(student[rows], teacher[rows]):
        p, q = ((x / temperature).exp() for x in (theirs, ours))
        p, q = p / p.sum(), q / q.sum()
        total = total + sum(a * (a / b).log() for a, b in zip(p, q))
    return temperature**2 * total / len(rows)


@pytest.mark.parametrize('ratio, temperature', [(0.75, 0.5), (1.0, 4.0), (0.2, 1.0)])
def test_selective_loss_equals_the_formula(ratio, temperature):
    student, teacher = feature(9, 3).requires_grad_(), feature(9, 3, seed=1)
    targets = torch.arange(9) // 3
    teacher.requires_grad_()
    loss = selective_kd_loss(student, teacher, targets, temperature, ratio)
    rows = chosen_by_hand(teacher, targets, ratio)
    assert len(rows) > 0 and (len(rows) < 9 or ratio == 1)
    expected = divergence(student, teacher.detach(), rows, temperature)
    torch.testing.assert_close(loss, expected, rtol=1e-9, atol=1e-12)
    (grad,) = torch.autograd.grad(loss, student, retain_graph=True)
    (other,) = torch.autograd.grad(expected, student)
    assert other.abs().max() > 1e-3
    torch.testing.assert_close(grad, other, rtol=1e-9, atol=1e-12)
    loss.backward()
    assert teacher.grad is None
    assert torch.autograd.gradcheck(
        lambda s: selective_kd_loss(s, teacher, targets, temperature, ratio), student
    )


def test_nothing_selected():
    # the one image is misclassified, and no wrong one is kept
    student = feature(1, 3).requires_grad_()
    teacher = torch.tensor([[1.0, 2.0, 0.0]])
    loss = selective_kd_loss(student, teacher, torch.tensor([0]), 4.0, 0.75)
    loss.backward()
    assert loss == 0 and (student.grad == 0).all()


# -- the whole loss ----------------------------------------------------------


def vectors_by_hand(layers, maps):
    """Of one copy after the other."""
    for x in maps:
        x = x.flatten(1).mean(1)
        hidden = (layers[0].weight @ x + layers[0].bias).clamp(min=0)
        yield layers[2].weight @ hidden + layers[2].bias


def alike_by_hand(layers, maps):
    vectors = list(vectors_by_hand(layers, maps))
    return torch.stack(
        [
            torch.stack([a.dot(b) / (a.dot(a) * b.dot(b)).sqrt() for b in vectors[::4]])
            for i, a in enumerate(vectors)
            if i % 4
        ]
    )


@pytest.mark.parametrize('images', [1, 2, 6])
def test_loss_equals_the_formula(head, images):
    sskd, (student, teacher) = built(head, rotated_ratio=0.5), views(images)
    for view in (student, teacher):
        view.features[0].requires_grad_()
        view.logits.requires_grad_()
    losses = sskd.losses(student, teacher)
    originals = torch.arange(images) * 4
    rotated = torch.tensor([i for i in range(4 * images) if i % 4])
    ours, theirs = student.logits, teacher.logits.detach()
    targets = student.labels[originals].repeat_interleave(3)
    rows = rotated[chosen_by_hand(theirs[rotated], targets, 0.5)]
    alike = alike_by_hand(sskd.head, student.features[0])
    alike_there = alike_by_hand(sskd.teacher_head, teacher.features[0]).detach()
    own = torch.tensor([i // 3 for i in range(3 * images)])
    expected = dict(
        kd=divergence(ours, theirs, originals, 4.0),
        rotated=divergence(ours, theirs, rows, 4.0) if len(rows) else 0 * ours.sum(),
        similarity=divergence(
            alike, alike_there, chosen_by_hand(alike_there, own, 0.75), 0.5
        ),
    )
    for name, value in expected.items():
        assert not losses[name].requires_grad
        torch.testing.assert_close(losses[name], value.detach(), rtol=1e-9, atol=1e-12)
    total = sum(w * v for w, v in zip((0.9, 2.7, 10.0), expected.values()))
    torch.testing.assert_close(losses['loss'], total, rtol=1e-9, atol=1e-12)
    inputs = [student.features[0], student.logits, *sskd.parameters()]
    for grad, other in zip(
        torch.autograd.grad(losses['loss'], inputs, retain_graph=True),
        torch.autograd.grad(total, inputs),
    ):
        # of one image all similarities are 1
        assert images == 1 or other.abs().max() > 1e-6
        torch.testing.assert_close(grad, other, rtol=1e-9, atol=1e-12)
    losses['loss'].backward()
    assert teacher.features[0].grad is teacher.logits.grad is None


def test_similarities_gradcheck():
    head = projection_head(3).double()
    vectors = feature(8, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: similarities(head, x), vectors)
    assert own_images(similarities(head, vectors)).tolist() == [0, 0, 0, 1, 1, 1]


def test_copies_are_split():
    rows = torch.arange(8)
    assert [each.tolist() for each in split_copies(rows)] == [
        [0, 4],
        [1, 2, 3, 5, 6, 7],
    ]
    assert split_copies(torch.rand(8, 5))[1].shape == (6, 5)


@pytest.mark.parametrize('scale', [0.0, 1.0, 1e4])
def test_degenerate_features(head, scale):
    for images in (1, 3):
        sskd = built(head)
        for layer in (sskd.head, sskd.teacher_head):
            nn.init.zeros_(layer[2].bias)
        student, teacher = (
            view._replace(
                features=[scale * view.features[0]], logits=scale * view.logits
            )
            for view in views(images)
        )
        student.features[0].requires_grad_()
        loss = sskd.losses(student, teacher)['loss']
        loss.backward()
        assert loss.isfinite() and student.features[0].grad.isfinite().all()
        assert all(p.grad.isfinite().all() for p in sskd.parameters())


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_logits_of_half_precision_are_compared_in_float32(dtype):
    # bfloat16 is what a classifier gives under autocast
    student = feature(12, 5).to(dtype)
    teacher = (student + feature(12, 5, seed=1) / 16).to(dtype)
    targets = torch.arange(12) % 5
    with torch.autocast('cpu', torch.bfloat16):
        loss = selective_kd_loss(student, teacher, targets, 4.0, 0.5)
    expected = selective_kd_loss(student.double(), teacher.double(), targets, 4.0, 0.5)
    assert loss.dtype == torch.float32 and expected > 1e-4
    torch.testing.assert_close(loss, expected.float(), rtol=1e-4, atol=0)


def test_mixed_and_half_precision(head):
    expected = built(head).losses(*views())['loss'].float()
    single, half = (
        [
            v._replace(features=[v.features[0].to(dtype)], logits=v.logits.to(dtype))
            for v in views()
        ]
        for dtype in (torch.float32, torch.float16)
    )
    with torch.autocast('cpu', torch.bfloat16):
        sskd = built(head).float()
        assert similarities(sskd.head, single[0].pooled).dtype == torch.float32
        mixed = sskd.losses(*single)['loss']
    torch.testing.assert_close(mixed, expected, rtol=0.02, atol=0)
    sskd = built(head).half()
    half[0].features[0].requires_grad_()
    loss = sskd.losses(*half)['loss']
    torch.testing.assert_close(loss.float(), expected, rtol=0.02, atol=0)
    loss.backward()
    assert half[0].features[0].grad.isfinite().all()


# -- the teacher's head ------------------------------------------------------


def test_the_teachers_head_is_no_part_of_it(head):
    sskd = built(head)
    saved = torch.load(head)['state_dict']
    assert {key for key in sskd.state_dict() if '_extra' not in key} == set(saved)
    for key, value in sskd.teacher_head.state_dict().items():
        assert value.dtype == torch.float64  # it moves with the student
        torch.testing.assert_close(value.float(), saved[f'head.{key}'], rtol=0, atol=0)
    assert not any(p.requires_grad for p in sskd.teacher_head.parameters())
    assert len(list(sskd.parameters())) == 4
    twin = copy.deepcopy(sskd)
    assert torch.equal(twin.losses(*views())['loss'], sskd.losses(*views())['loss'])


def test_a_saved_state_goes_on_exactly(head):
    sskd, other = built(head), built(head)
    for parameter in sskd.parameters():
        nn.init.normal_(parameter)
    other.load_state_dict(sskd.state_dict())
    assert torch.equal(other.losses(*views())['loss'], sskd.losses(*views())['loss'])


def test_heads_that_cannot_be_loaded(head, tmp_path):
    with pytest.raises(
        UserInputError, match='none.pth does not exist; train it with a'
    ):
        built(str(tmp_path / 'none.pth'))
    torch.save(dict(state_dict=save_head(projection_head(5))), tmp_path / 'narrow.pth')
    with pytest.raises(
        UserInputError, match=r'a head of shapes \[\(5, 5\), .*\(6, 6\)'
    ):
        built(str(tmp_path / 'narrow.pth'))
    torch.save(dict(fc=torch.ones(3)), tmp_path / 'none.pth')
    with pytest.raises(UserInputError, match='has no head, the teacher needs one of'):
        built(str(tmp_path / 'none.pth'))
    (tmp_path / 'text.pth').write_text('head')
    with pytest.raises(UserInputError, match='text.pth'):
        built(str(tmp_path / 'text.pth'))


@pytest.mark.parametrize(
    'name', ['kd_weight', 'rotated_weight', 'similarity_weight', 'similarity_ratio']
)
def test_settings_are_checked(head, name):
    with pytest.raises(UserInputError, match=f'{name}=-1.: must be a number >= 0'):
        built(head, **{name: -1})
    with pytest.raises(UserInputError, match='temperature=0.: must be a number > 0'):
        built(head, temperature=0)


# -- in a student ------------------------------------------------------------


@pytest.fixture
def student(tmp_path):
    config = classifier(14, (6, 6, 12, 24))
    torch.save(MODELS.build(config).state_dict(), tmp_path / 'teacher.pth')
    torch.save(save_head(projection_head(24)), tmp_path / 'head.pth')
    return dict(
        type='ReviewKD',
        student=classifier(loss_weight=0.1),
        teacher=dict(config=config, checkpoint=str(tmp_path / 'teacher.pth')),
        methods=dict(sskd=dict(type='SSKD', teacher_head=str(tmp_path / 'head.pth'))),
    )


def batch_of(model):
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    data = dict(inputs=images, data_samples=torch.arange(4))
    return model.data_preprocessor(data, True)


def test_in_a_student(student, tmp_path):
    student['student']['data_preprocessor']['rotations'] = True
    model = MODELS.build(student)
    data = batch_of(model)
    losses = model(**data, mode='loss')
    assert list(losses) == [
        *('loss_cls', 'loss_sskd'),
        *('sskd_kd', 'sskd_rotated', 'sskd_similarity'),
    ]
    # its own loss is that of the images as they are
    logits = model(data['inputs'])[::4]
    own = 0.1 * nn.functional.cross_entropy(logits, torch.arange(4))
    torch.testing.assert_close(losses['loss_cls'], own)
    model.parse_losses(losses)[0].backward()
    assert all(p.grad.abs().sum() > 0 for p in model.sskd.parameters())
    state = dict(state_dict=model.state_dict(), meta={})
    torch.save(state, tmp_path / 'epoch_1.pth')
    export_student(str(tmp_path / 'epoch_1.pth'), str(tmp_path / 'student.pth'))
    exported = torch.load(tmp_path / 'student.pth', weights_only=True)['state_dict']
    assert set(exported) == set(MODELS.build(classifier()).state_dict())


def test_needs_rotated_copies(student):
    with pytest.raises(UserInputError) as error:
        MODELS.build(student)
    assert str(error.value) == (
        "methods.sskd=dict(type='SSKD') learns from four copies of each image, and "
        'none are made: set rotations=True in the data_preprocessor, a '
        'CropFlipPreprocessor'
    )
