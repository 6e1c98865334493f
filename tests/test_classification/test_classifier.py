"""The classifier: public files as they are, levels of foreign networks."""

import copy

from mmreviewkd.compat import load_from_local
from mmreviewkd.errors import UserInputError
from mmreviewkd.models import Teacher
from mmreviewkd.models.configs import model_config
from mmreviewkd.models.settings import TeacherSettings
from tests.support.classifiers import classifier, distilled_classifier, image_batch
from tests.support.commands import call
from tests.support.detectors import tiny_detector
from tests.support.paths import ROOT

import numpy as np
import pytest
import torch
import torch.nn as nn
from mmdet.registry import MODELS
from mmengine.runner import load_checkpoint


def public(path, network, wrapped):
    """A file as CRD (wrapped) or torchvision (not) publish theirs."""
    weights = network.state_dict()
    torch.save(dict(model=weights, epoch=240) if wrapped else weights, path)
    return str(path)


@pytest.fixture
def trained():
    """A classifier with weights of its own."""
    torch.manual_seed(3)
    model = MODELS.build(classifier())
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
    return model


def equal(model, other):
    ours, theirs = model.state_dict(), other.state_dict()
    return list(ours) == list(theirs) and all(
        map(torch.equal, ours.values(), theirs.values())
    )


@pytest.mark.parametrize('wrapped', [True, False])
def test_a_public_file_fills_student_teacher_and_plain(trained, tmp_path, wrapped):
    path = public(tmp_path / 'public.pth', trained.backbone, wrapped)
    model = distilled_classifier(dict(config=classifier(), checkpoint=path))
    assert equal(model.distillation.teacher.model, trained)
    assert not equal(model.backbone, trained.backbone)
    heir = MODELS.build(classifier())
    model.distillation.teacher.bequeath(heir, ['backbone'])
    assert equal(heir, trained)
    review = copy.deepcopy(model.review)
    load_checkpoint(model, path)  # what load_from does
    assert equal(model.backbone, trained.backbone)
    assert equal(model.review, review)
    # and the run's own checkpoint, whose names have the prefix
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'run.pth')
    plain = MODELS.build(classifier())
    load_checkpoint(plain, str(tmp_path / 'run.pth'))
    assert equal(plain, trained)


class Wrapped(nn.Module):
    """A network with a part that is called "backbone", as mmpretrain's."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Conv2d(3, 4, 3)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(4, 10)

    def forward(self, x):
        return self.head(self.pool(self.backbone(x)).flatten(1))


def wrapped_classifier(**settings):
    MODELS.register_module(module=Wrapped, force=True)
    return classifier(backbone=dict(type='Wrapped'), **settings)


def test_a_network_with_a_backbone_of_its_own():
    model, other = (MODELS.build(wrapped_classifier()) for _ in range(2))
    for weights in (model.state_dict(), model.backbone.state_dict()):
        other.backbone.head.bias.data.zero_()
        other.load_state_dict(weights)
        assert equal(model, other)


@pytest.mark.parametrize(
    'other, message',
    [
        (
            dict(depth=14),
            'of 56 tensors in backbone 36 unexpected (first: '
            'backbone.layer1.1.conv1.weight, ',
        ),
        (
            dict(num_classes=7),
            '2 of another shape (first: backbone.fc.weight '
            '(7, 16), model (10, 16), backbone.fc.bias (7), model (10))',
        ),
    ],
)
def test_another_network_is_refused(tmp_path, other, message):
    network = MODELS.build(classifier(**other)).backbone
    path = public(tmp_path / 'public.pth', network, True)
    with pytest.raises(UserInputError) as error:
        Teacher(TeacherSettings(classifier(), path))
    assert message in str(error.value)


def test_levels_of_a_network_that_does_not_tell():
    model = MODELS.build(wrapped_classifier())
    with pytest.raises(UserInputError) as error:
        model.level_names('teacher')
    assert str(error.value) == (
        'teacher Wrapped does not tell its levels: name modules with '
        'ImageClassifier(levels=[...]), shallow to deep, out of backbone, '
        'pool, head'
    )
    model = MODELS.build(wrapped_classifier(levels=['backbone', 'pool']))
    assert model.level_names('student') == ['backbone.backbone', 'backbone.pool']
    # a large network: its outermost modules
    model = MODELS.build(classifier(levels='after'))
    model.backbone = nn.Sequential(*(nn.Sequential(nn.ReLU()) for _ in range(30)))
    with pytest.raises(
        UserInputError,
        match='out of 0, 1, 2, .*, 29, 0.0, .*'
        r', 9.0, \.\.\. 60 in all$',
    ):
        model.level_names('student')
    with pytest.raises(
        UserInputError, match="levels='middle'.: must be 'after', 'before' or a list"
    ):
        MODELS.build(classifier(levels='middle')).level_names('student')


def test_levels_of_a_teacher_beside_its_config(tmp_path):
    path = public(tmp_path / 'p.pth', MODELS.build(classifier()).backbone, True)

    def teacher_of(**settings):
        given = dict(config=classifier(levels='after'), checkpoint=path, **settings)
        return distilled_classifier(given).distillation.teacher

    usual, before = teacher_of(), teacher_of(levels='before')
    assert usual.names == [f'backbone.layer{i}' for i in (1, 2, 3)] + [
        'backbone.avgpool'
    ]
    assert before.names[0] == 'backbone.layer1.0.relu2.input'
    assert 'teacher levels' not in usual.settings.remembered()
    assert before.settings.remembered()['teacher levels'] == 'before'
    names = ['layer1', 'layer2', 'layer2', 'avgpool']
    named = teacher_of(levels=names)
    assert named.names == [f'backbone.{name}' for name in names]


@pytest.mark.parametrize('levels', ['middle', [], [3], {'layer1'}, 3, True])
def test_levels_that_a_teacher_cannot_have(levels):
    with pytest.raises(UserInputError) as error:
        TeacherSettings(classifier(), 'p.pth', levels=levels)
    assert str(error.value) == (
        f"teacher=dict(levels={levels!r}): must be 'after', 'before' or a list of "
        "names of the backbone's modules"
    )
    detector = TeacherSettings(tiny_detector(), 'p.pth', levels='after')
    with pytest.raises(UserInputError) as error:
        Teacher(detector)
    assert str(error.value) == (
        "teacher=dict(levels='after'): is for classifiers, not for a detector; "
        'leave it out'
    )


def test_a_public_teacher_sees_its_own_normalisation(tmp_path):
    config = 'mmreviewkd::cifar100/public/resnet56.py'
    network = MODELS.build(model_config(config)).backbone
    model = distilled_classifier(
        dict(config=config, checkpoint=public(tmp_path / 'p.pth', network, True)),
        student=classifier(num_classes=100),
    )
    seen = []
    model.distillation.teacher.model.backbone.conv1.register_forward_pre_hook(
        lambda module, args: seen.append(args[0])
    )
    model(**image_batch(model), mode='loss')
    torch.manual_seed(2)  # the images that image_batch() drew
    raw = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8).float()
    mean, std = (
        255 * torch.tensor(values).view(3, 1, 1)
        for values in ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761))
    )
    torch.testing.assert_close(seen[0], (raw - mean) / std)
    # to the last bit what its own preprocessor makes
    own = model.distillation.teacher.preprocessor(
        dict(inputs=raw.byte(), data_samples=torch.arange(4))
    )['inputs']
    assert torch.equal(seen[0], own)


@pytest.fixture
def folder(tmp_path, trained):
    """A config, classifier.py, and images that the classifier labelled."""
    rng = np.random.RandomState(0)
    images = rng.randint(0, 256, (20, 32, 32, 3)).astype(np.uint8)
    data = trained.eval().data_preprocessor(
        dict(
            inputs=torch.from_numpy(images).permute(0, 3, 1, 2),
            data_samples=torch.arange(20),
        )
    )
    labels = trained(data['inputs']).argmax(1)
    np.savez(tmp_path / 'test', x=images, y=labels.numpy())
    dataset = dict(
        type='ArchiveImages', num_classes=10, path=str(tmp_path / 'test.npz')
    )
    loaders = '\n'.join(
        f'{part}_dataloader = dict(dataset=dict(_delete_=True, **{dataset}))'
        for part in ('train', 'val', 'test')
    )
    (tmp_path / 'classifier.py').write_text(
        f"_base_ = '{ROOT}/configs/_base_/cifar100.py'\n{loaders}\n"
        f'model = dict(_delete_=True, **{classifier()})\n'
    )
    return tmp_path


def test_images_without_labels_are_predicted(trained):
    images = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)
    trained.eval()
    labelled = trained.test_step(
        dict(inputs=images, data_samples=torch.tensor([4, 0, 9]))
    )
    assert [each['gt_label'] for each in labelled] == [4, 0, 9]
    for each, known in zip(trained.test_step(dict(inputs=images)), labelled):
        assert list(each) == ['pred_scores']
        assert torch.equal(each['pred_scores'], known['pred_scores'])


def test_tools_test(trained, folder, capsys):
    path = public(folder / 'public.pth', trained.backbone, True)
    run = ('test', folder / 'classifier.py', path, '--work-dir', folder / 'run')
    assert call(*run) is None
    assert 'accuracy/top1: 100.0000' in capsys.readouterr().out
    saved = load_from_local(path)
    saved['model'].popitem()
    torch.save(dict(model=saved['model']), path)
    assert call(*run) == (
        f'error: checkpoint {path} does not fit ImageClassifier: of 56 '
        'tensors 1 missing (first: backbone.fc.bias). Does it belong to this '
        'config?'
    )
