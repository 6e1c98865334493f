"""What holds for every method of classifiers: one step, a checkpoint, an export."""

import copy

from mmreviewkd.errors import UserInputError
from mmreviewkd.methods import TrainedMethod
from mmreviewkd.methods.self_supervision import projection_head
from mmreviewkd.models.export import export_student
from tests.support.checkpoints import snapshot
from tests.support.classifiers import classifier

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope

METHODS = [
    dict(type='AttentionTransfer', weight=1000.0),
    dict(type='SimilarityPreserving', weight=3000.0),
    dict(type='FitNet', weight=100.0),
    dict(type='PKT', weight=30000.0),
    dict(type='CC', weight=0.02),
    dict(type='CorrelationCongruence', weight=0.003),
    dict(type='OFD', weight=0.001),
    dict(type='RKD'),
    dict(type='VID'),
    dict(type='DIST', weight=2.0, temperature=4.0),
    dict(type='KDLoss', weight=9.0, temperature=2.0, standardize=True),
    dict(type='DKDLoss', weight=9.0, temperature=2.0, standardize=True),
    dict(type='CRD', weight=0.8, num_samples=20, num_negatives=9),
    dict(type='SSKD'),
]
each_method = pytest.mark.parametrize('method', METHODS, ids=lambda m: m['type'])


@pytest.fixture(scope='module')
def teacher(tmp_path_factory):
    init_default_scope('mmdet')
    cfg = classifier(14, (6, 6, 12, 24))
    path = str(tmp_path_factory.mktemp('teacher') / 'teacher.pth')
    torch.manual_seed(0)
    torch.save(MODELS.build(cfg).state_dict(), path)
    head = dict(head=projection_head(24))
    torch.save(torch.nn.ModuleDict(head).state_dict(), f'{path}.head')
    return dict(config=cfg, checkpoint=path, levels='before')


def distilled(teacher, method, seed=1, levels='before'):
    torch.manual_seed(seed)
    method, student = dict(method), classifier(levels=levels)
    if method['type'] == 'SSKD':
        method['teacher_head'] = f'{teacher["checkpoint"]}.head'
        student['data_preprocessor']['rotations'] = True
    return MODELS.build(
        dict(
            type='ReviewKD',
            student=student,
            teacher=copy.deepcopy(teacher),
            methods=dict(one=method),
        )
    )


def batch_of(model, count=4):
    """Images with the labels 0, 1, ..., the same in each call, and their indices."""
    torch.manual_seed(2)
    images = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8)
    samples = dict(gt_label=torch.arange(count), sample_idx=torch.arange(count))
    data = dict(inputs=images, data_samples=samples)
    return model.data_preprocessor(data, training=True)


@each_method
def test_a_step_trains_student_and_method_alone(teacher, method):
    model = distilled(teacher, method).train()
    taught = snapshot(model.distillation.teacher)
    losses = model(**batch_of(model), mode='loss')
    assert losses['loss_one'].dtype == torch.float32 and losses['loss_one'].isfinite()
    assert losses['loss_one'] > 1e-12
    losses['loss_one'].backward()
    assert model.backbone.conv1.weight.grad.abs().max() > 0
    for name, parameter in model.one.named_parameters():
        assert parameter.grad.isfinite().all() and parameter.grad.any(), name
    for key, value in model.distillation.teacher.state_dict().items():
        assert torch.equal(value, taught[key]), key


@each_method
def test_one_image_and_mixed_precision(teacher, method):
    model = distilled(teacher, method).train()
    data = batch_of(model, 1)
    for autocast in (False, True):
        with torch.autocast('cpu', torch.bfloat16, enabled=autocast):
            losses = model(**data, mode='loss')
        assert losses['loss_one'].dtype == torch.float32
        model.zero_grad()
        losses['loss_one'].backward()
        grads = [p.grad for p in model.parameters() if p.grad is not None]
        assert losses['loss_one'].isfinite()
        assert all(grad.isfinite().all() for grad in grads)


@each_method
def test_mixed_precision_is_near(teacher, method):
    losses = []
    for autocast in (True, False):
        model = distilled(teacher, method)  # a new one, since CRD remembers the images
        with torch.autocast('cpu', torch.bfloat16, enabled=autocast):
            losses.append(model(**batch_of(model), mode='loss')['loss_one'])
    torch.testing.assert_close(*losses, rtol=0.1, atol=0)


@each_method
def test_a_checkpoint_resumes_exactly_and_the_export_has_none(
    teacher, method, tmp_path
):
    model = distilled(teacher, method).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(**batch_of(model), mode='loss')['loss_one'].backward()
    optimizer.step()
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'run.pth')
    again = distilled(teacher, method, seed=2).train()
    again.load_state_dict(torch.load(tmp_path / 'run.pth')['state_dict'])
    losses = [m(**batch_of(m), mode='loss')['loss_one'] for m in (model, again)]
    assert torch.equal(*losses)
    kept = [key for key in model.state_dict() if key.startswith('one.')]
    assert bool(kept) == isinstance(model.one, TrainedMethod)
    export_student(str(tmp_path / 'run.pth'), str(tmp_path / 'student.pth'))
    exported = torch.load(tmp_path / 'student.pth')['state_dict']
    assert set(exported) == set(model.state_dict()) - set(kept)


@pytest.mark.parametrize(
    'method, ours, theirs, message',
    [
        (
            'OFD',
            ['layer1', 'layer2'],
            ['layer1', 'layer2.0.conv1'],
            'OFD: level 1 of the teacher does not end with a BatchNorm of its channels',
        ),
        (
            'OFD',
            ['layer1', 'layer1'],
            ['layer1', 'layer2'],
            'OFD: level 1 has stride 1 in the student, 2 in the teacher, whose maps',
        ),
        (
            'FitNet',
            ['layer1', 'layer1'],
            ['layer1', 'layer3'],
            'FitNet(level=1): the student has stride 1 there, the teacher 4; must be',
        ),
        (
            'FitNet',
            ['layer1', 'avgpool'],
            ['layer1', 'avgpool'],
            'FitNet(level=1): must be the index of a level that has maps; these',
        ),
        ('VID', ['avgpool'], ['avgpool'], 'VID compares maps, and all levels of this'),
    ],
)
def test_a_pair_that_lacks_what_a_method_needs(teacher, method, ours, theirs, message):
    with pytest.raises(UserInputError) as error:
        distilled(dict(teacher, levels=theirs), dict(type=method), levels=ours)
    assert str(error.value).startswith(message) and '\n' not in str(error.value)


@pytest.mark.parametrize('kind', ['KDLoss', 'DKDLoss', 'DIST', 'CRD'])
def test_rotated_copies_are_for_sskd(teacher, kind):
    # their labels are -100, which is no class
    student = classifier()
    student['data_preprocessor']['rotations'] = True
    config = dict(type='ReviewKD', student=student, teacher=copy.deepcopy(teacher))
    with pytest.raises(UserInputError) as error:
        MODELS.build(dict(config, methods=dict(one=dict(type=kind))))
    assert str(error.value) == (
        f'methods.one=dict(type={kind!r}) learns from images as they are: leave out '
        'rotations=True of the data_preprocessor, or train with SSKD alone'
    )
    # levels are compared of whatever images there are
    model = MODELS.build(dict(config, review=dict(weight=1.0)))
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    data = dict(inputs=images, data_samples=torch.arange(2))
    data = model.data_preprocessor(data, True)
    assert len(data['inputs']) == 8
    assert model(**data, mode='loss')['loss_review'] > 0
