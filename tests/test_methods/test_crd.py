"""Contrastive representation distillation, against its formula."""

import copy
import math
import os

from mmreviewkd.errors import UserInputError
from mmreviewkd.methods import CRD, Pair, View
from mmreviewkd.methods.crd import contrastive_loss
from mmreviewkd.models.export import export_student
from tests.support.classifiers import classifier
from tests.support.launching import free_port
from tests.support.views import feature

import pytest
import torch
import torch.multiprocessing as mp
from mmdet.registry import MODELS
from torch import distributed as dist

PAIR = Pair(['a'], [3], [6])
IMAGES, OTHERS, LABELS = 12, 5, torch.tensor([0, 0, 1, 2, 1, 2, 0, 1, 2, 0, 1, 2])


def built(**replaced):
    settings = dict(num_samples=IMAGES, num_negatives=OTHERS, feat_dim=4)
    settings.update(replaced)
    torch.manual_seed(0)
    return CRD(PAIR, **settings).double()


def views(*images, seed=0, ours=None, theirs=None):
    """Of the images of these indices; by default with random features."""
    known = dict(labels=LABELS[list(images)], sample_idx=torch.tensor(images))
    ours = feature(len(images), 3, 1, 1, seed=seed) if ours is None else ours
    theirs = feature(len(images), 6, 1, 1, seed=seed + 1) if theirs is None else theirs
    return View([ours], **known), View([theirs], **known)


def layers_of(crd):
    return crd.embed_student, crd.embed_teacher


def negatives_of(crd, student):
    return crd._negatives(student.sample_idx, student.labels)


def told_apart(scores, constant, images, epsilon=0.0):
    """The loss image by image, from probabilities."""
    total = 0
    for row in scores:
        noise = (len(row) - 1) / images
        for column, score in enumerate(row):
            o = torch.exp(score) / constant
            part = noise if column else o
            total = total - torch.log(part / (o + noise + epsilon))
    return total / len(scores)


@pytest.mark.parametrize('rows, columns', [(1, 2), (3, 6)])
def test_loss_equals_the_formula(rows, columns):
    scores = feature(rows, columns).requires_grad_()
    loss = contrastive_loss(scores, torch.tensor(7.0).double().log(), 12)
    expected = told_apart(scores, 7.0, 12)
    torch.testing.assert_close(loss, expected, rtol=1e-9, atol=1e-12)
    (grad,) = torch.autograd.grad(loss, scores)
    (other,) = torch.autograd.grad(expected, scores)
    assert other.abs().max() > 1e-2
    torch.testing.assert_close(grad, other, rtol=1e-9, atol=1e-12)
    # and the authors' code to their epsilon
    authors = told_apart(scores, 7.0, 12, 1e-7).detach()
    torch.testing.assert_close(loss.detach(), authors, rtol=0, atol=1e-5)
    assert torch.autograd.gradcheck(
        lambda s: contrastive_loss(s, torch.tensor(1.0).double(), 12), scores
    )


def by_hand(crd, memories, constants, student, teacher, images):
    """Loss of one step, row by row of two lists of memories, which it then changes."""
    sides = []
    for layer, view in zip(layers_of(crd), (student, teacher)):
        rows = [layer.weight @ x.flatten() + layer.bias for x in view.features[0]]
        sides.append([row / row.dot(row).sqrt() for row in rows])
    loss = 0
    for side, (embedded, memory) in enumerate(zip(sides[::-1], memories)):
        scores = [
            torch.stack([memory[i].dot(v) / crd.temperature for i in row])
            for v, row in zip(embedded, images.tolist())
        ]
        if constants[side] is None:
            mean = torch.stack(scores).exp().mean().detach()
            constants[side] = mean * IMAGES
        loss = loss + told_apart(scores, constants[side], IMAGES)
    for memory, embedded in zip(memories, sides):
        for i, v in zip(student.sample_idx.tolist(), embedded):
            row = crd.momentum * memory[i] + (1 - crd.momentum) * v.detach()
            memory[i] = row / row.dot(row).sqrt()
    return loss


def test_steps_equal_the_formula(monkeypatch):
    crd = built()
    memories, constants = [list(each) for each in crd.memories.clone()], [None, None]
    # the second step sees two images of the first again
    for step, batch in enumerate(((3, 7, 11, 0), (7, 2, 0, 5))):
        student, teacher = views(*batch, seed=9 * step)
        student.features[0].requires_grad_()
        teacher.features[0].requires_grad_()
        drawn = negatives_of(crd, student)
        monkeypatch.setattr(crd, '_negatives', lambda *_, drawn=drawn: drawn)
        loss = crd.losses(student, teacher)['loss']
        monkeypatch.undo()
        images = torch.cat([student.sample_idx[:, None], drawn], 1)
        expected = by_hand(crd, memories, constants, student, teacher, images)
        torch.testing.assert_close(loss, expected, rtol=1e-9, atol=1e-12)
        parameters = [student.features[0], *crd.parameters()]
        for grad, other in zip(
            torch.autograd.grad(loss, parameters, retain_graph=True),
            torch.autograd.grad(expected, parameters),
        ):
            assert other.abs().max() > 1e-3
            torch.testing.assert_close(grad, other, rtol=1e-9, atol=1e-12)
        loss.backward()
        assert teacher.features[0].grad is None
        for memory, rows in zip(crd.memories, memories):
            torch.testing.assert_close(memory, torch.stack(rows), rtol=1e-9, atol=1e-12)
        for mine, constant in zip(crd.log_normalizers.flatten(), constants):
            assert mine.exp().item() == pytest.approx(constant.item(), rel=1e-9)
    assert crd.classes.tolist() == [0, -1, 1, 2, -1, 2, -1, 1, -1, -1, -1, 2]


def test_memories_start_as_published():
    crd = CRD(PAIR, num_samples=2000, num_negatives=9, weight=0.8)
    assert crd.memories.shape == (2, 2000, 128) and crd.weight == 0.8
    bound = 1 / math.sqrt(128 / 3)
    assert crd.memories.min() >= -bound and crd.memories.max() <= bound
    torch.testing.assert_close(
        crd.memories.std((1, 2)), torch.full((2,), bound / 3**0.5), rtol=0.01, atol=0
    )
    assert not torch.equal(*crd.memories)


def test_negatives_are_drawn_uniformly_from_other_classes():
    crd = built()
    crd.classes = LABELS.clone()
    student, _ = views(3, 7, 3)
    counts = torch.zeros(3, IMAGES)
    draws = 2000
    for _ in range(draws):
        drawn = negatives_of(crd, student)
        assert drawn.shape == (3, OTHERS)
        counts += torch.zeros(3, IMAGES).scatter_add_(1, drawn, torch.ones(3, OTHERS))
    assert counts.sum() == 3 * draws * OTHERS
    for row, label in zip(counts, student.labels):
        others = label != LABELS
        assert (row[~others] == 0).all()  # itself among them
        expected = draws * OTHERS / others.sum()
        # never twice in a row: a binomial, four standard deviations
        assert ((row[others] - expected).abs() < 4 * (draws * 0.25) ** 0.5).all()
    # each image draws its own
    assert not torch.equal(*negatives_of(crd, student)[[0, 2]].sort(1)[0])


def test_an_image_is_no_negative_of_its_own_before_it_was_seen():
    crd = built(num_negatives=11)
    drawn = negatives_of(crd, views(3, 7)[0])
    assert set(drawn[0].tolist()) == set(range(12)) - {3}
    assert set(drawn[1].tolist()) == set(range(12)) - {7}


@pytest.mark.parametrize('scale', [0.0, 1.0, 1e4])
def test_degenerate_batches(scale):
    for images in ((3,), (3, 3), (0, 1, 6)):  # one image, one twice, one class
        ours, theirs = (
            (scale * feature(len(images), c, 1, 1)).requires_grad_() for c in (3, 6)
        )
        for temperature in (0.07, 0.001):
            crd = built(num_negatives=1, temperature=temperature)
            for layer in layers_of(crd):
                torch.nn.init.zeros_(layer.bias)
            loss = crd.losses(*views(*images, ours=ours, theirs=theirs))['loss']
            loss.backward()
            assert loss.isfinite() and ours.grad.isfinite().all()
            assert crd.memories.isfinite().all()


def test_maps_are_pooled():
    maps, others = feature(2, 3, 4, 4), feature(2, 6, 2, 2)
    results = []
    for ours, theirs in (
        (maps, others),
        (maps.mean((2, 3), True), others.mean((2, 3), True)),
    ):
        crd = built()
        results.append(crd.losses(*views(3, 7, ours=ours, theirs=theirs))['loss'])
    torch.testing.assert_close(*results)


def test_mixed_and_half_precision():
    torch.manual_seed(3)
    expected = built().float().losses(*_float(views(3, 7)))['loss']
    torch.manual_seed(3)
    crd = built().float()
    with torch.autocast('cpu', torch.bfloat16):
        mixed = crd.losses(*_float(views(3, 7)))['loss']
    assert torch.equal(mixed, expected)
    crd = built(temperature=0.001).half()  # exp(1 / 0.001) is infinite
    loss = crd.losses(*(v._replace(features=[v.features[0].half()]) for v in views(3)))
    loss['loss'].backward()
    assert loss['loss'].isfinite() and crd.memories.dtype == torch.float16
    assert all(p.grad.isfinite().all() for p in crd.parameters())


def test_what_overflows_is_not_remembered():
    crd, (student, teacher) = built(), views(3, 7)
    before, finite = crd.memories.clone(), student.features[0].clone()
    student.features[0][0, 1] = torch.inf
    assert crd.losses(student, teacher)['loss'].isnan()
    changed = (crd.memories != before).any(-1)
    # the student's embedding of image 3 stays as it was
    assert changed.nonzero().tolist() == [[0, 7], [1, 3], [1, 7]]
    assert crd.memories.isfinite().all() and crd.log_normalizers[1].isnan()
    assert crd.losses(student._replace(features=[finite]), teacher)['loss'].isfinite()
    assert crd.log_normalizers.isfinite().all()


def _float(pair):
    return [view._replace(features=[view.features[0].float()]) for view in pair]


@pytest.mark.parametrize('grad, training', [(False, True), (True, False)])
def test_nothing_is_remembered_outside_of_training(grad, training):
    crd = built().train(training)
    before = {key: value.clone() for key, value in crd.state_dict().items()}
    with torch.set_grad_enabled(grad):
        assert crd.losses(*views(3, 7))['loss'] > 0
    for key, value in crd.state_dict().items():
        torch.testing.assert_close(value, before[key], rtol=0, atol=0, equal_nan=True)


def test_a_saved_state_goes_on_exactly():
    crd = built()
    crd.losses(*views(3, 7))
    other = built()
    other.load_state_dict(copy.deepcopy(crd.state_dict()))
    results = []
    for each in (crd, other):
        torch.manual_seed(4)
        results.append([each.losses(*views(7, 2))['loss'], each.memories, each.classes])
    torch.testing.assert_close(*results, rtol=0, atol=0)


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(num_samples=0), 'num_samples=0.: must be a whole number > 0'),
        (dict(num_samples=5e4), 'num_samples=50000.0.: must be a whole'),
        (dict(feat_dim='a'), "feat_dim='a'.: must be a whole"),
        (dict(num_negatives=True), 'num_negatives=True.: must be a whole'),
        (
            dict(num_negatives=12),
            'must be less than the number of training images, num',
        ),
        (dict(temperature=0), 'temperature=0.: must be a number > 0'),
        (dict(momentum=-0.1), 'momentum=-0.1.: must be a number >= 0'),
        (dict(momentum=1.0), 'momentum=1.0.: must be less than 1'),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(UserInputError, match=message):
        built(**settings)


def test_data_are_checked():
    with pytest.raises(UserInputError, match='index 11; set it to the number of train'):
        built(num_samples=11).losses(*views(3, 11))
    crd, (student, teacher) = built(), views(3, 7)
    for _ in range(2):  # an image may be seen again
        crd.losses(student, teacher)
    before = crd.classes.clone()
    with pytest.raises(UserInputError) as error:
        crd.losses(student._replace(labels=student.labels.flip(0) + 1), teacher)
    assert str(error.value) == (
        'CRD: images of different classes have the same index, as those of a '
        'ConcatDataset have, whose parts each count from 0; each image needs an index '
        'of its own'
    )
    assert torch.equal(crd.classes, before)
    # 8 of the 12 images are of another class than one, which two epochs tell
    crd, enough = built(num_negatives=9), built(num_negatives=8)
    with pytest.raises(UserInputError, match='there are 8 images of other classes'):
        for _ in range(2):
            for batch in range(0, IMAGES, 4):
                enough.losses(*views(*range(batch, batch + 4)))
                crd.losses(*views(*range(batch, batch + 4)))
    assert enough._unchecked > 0


def work(rank, world_size, port, queue):
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    torch.set_num_threads(1)
    dist.init_process_group('gloo', rank=rank, world_size=world_size)
    # the first step with all negatives that there are, which makes Z one of no chance
    crd = built(num_negatives=11)
    for batch in ((3, 7, 11, 0), (7, 2, 0, 5)):
        part = batch[rank * 4 // world_size : (rank + 1) * 4 // world_size]
        ours = torch.stack([feature(3, 1, 1, seed=i) for i in part])
        theirs = torch.stack([feature(6, 1, 1, seed=i) for i in part])
        torch.manual_seed(rank)
        crd.losses(*views(*part, ours=ours, theirs=theirs))
        crd.num_negatives = OTHERS
    queue.put({key: value.numpy() for key, value in crd.named_buffers()})
    dist.barrier()
    dist.destroy_process_group()


@pytest.mark.slow
def test_memories_of_two_processes_agree():
    context, states = mp.get_context('spawn'), []
    for world_size in (1, 2):
        port, queue = free_port(), context.Queue()
        processes = [
            context.Process(target=work, args=(rank, world_size, port, queue))
            for rank in range(world_size)
        ]
        for process in processes:
            process.start()
        states += [queue.get(timeout=60) for _ in processes]
        for process in processes:
            process.join(60)
            assert process.exitcode == 0
    one, *two = [
        {key: torch.from_numpy(value) for key, value in each.items()} for each in states
    ]
    torch.testing.assert_close(two[0], two[1], rtol=0, atol=0)
    torch.testing.assert_close(two[0], one, rtol=1e-9, atol=1e-12)


# -- in a student ------------------------------------------------------------


@pytest.fixture
def student(tmp_path):
    config = classifier(14, (6, 6, 12, 24))
    torch.save(MODELS.build(config).state_dict(), tmp_path / 'teacher.pth')
    teacher = dict(config=config, checkpoint=str(tmp_path / 'teacher.pth'))
    crd = dict(type='CRD', weight=0.8, num_samples=20, num_negatives=9)
    return dict(
        type='ReviewKD', student=classifier(), teacher=teacher, methods=dict(crd=crd)
    )


def loss_of(model, samples):
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    data = model.data_preprocessor(dict(inputs=images, data_samples=samples), True)
    return model(**data, mode='loss')


def test_in_a_student(student, tmp_path):
    model = MODELS.build(student)
    labels = torch.arange(4)
    losses = loss_of(model, dict(gt_label=labels, sample_idx=labels + 7))
    assert set(losses) == {'loss_cls', 'loss_crd'}
    model.parse_losses(losses)[0].backward()
    assert all(p.grad.abs().sum() > 0 for p in model.crd.parameters())
    assert [layer.in_features for layer in layers_of(model.crd)] == [16, 24]
    assert model.crd.classes.tolist() == 7 * [-1] + [0, 1, 2, 3] + 9 * [-1]
    state = model.state_dict()
    assert {key for key in state if key.startswith('crd.') and '_extra' not in key} == {
        *('crd.embed_student.weight', 'crd.embed_student.bias'),
        *('crd.embed_teacher.weight', 'crd.embed_teacher.bias'),
        *('crd.memories', 'crd.classes', 'crd.log_normalizers'),
    }
    torch.save(dict(state_dict=state, meta={}), tmp_path / 'epoch_1.pth')
    export_student(str(tmp_path / 'epoch_1.pth'), str(tmp_path / 'student.pth'))
    exported = torch.load(tmp_path / 'student.pth', weights_only=True)['state_dict']
    assert set(exported) == set(MODELS.build(classifier()).state_dict())


def test_needs_indices_and_their_number(student):
    with pytest.raises(UserInputError, match='reads sample_idx, the index of each ima'):
        loss_of(MODELS.build(student), torch.arange(4))
    del student['methods']['crd']['num_samples']
    with pytest.raises(UserInputError, match="methods.crd: .*'num_samples'"):
        MODELS.build(student)
