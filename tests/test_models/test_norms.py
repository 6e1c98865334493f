"""The BatchNorm of each level, and a teacher with statistics of the batch."""

import copy

from mmreviewkd.errors import UserInputError
from mmreviewkd.models import Teacher
from mmreviewkd.models.features import probe
from mmreviewkd.models.settings import TeacherSettings
from tests.support.classifiers import classifier, image_batch
from tests.support.detectors import tiny_detector

import pytest
import torch
from mmdet.registry import MODELS

NETWORKS = [
    (dict(type='CifarResNet', depth=20), 'layer1.2.bn2 layer2.2.bn2 layer3.2.bn2'),
    (
        dict(type='CifarWideResNet', depth=16, widen_factor=2),
        'block2.layer.0.bn1 block3.layer.0.bn1 bn1',
    ),
    (dict(type='CifarVGG', depth=8), 'block1.1 block2.1 block3.1 block4.1'),
    (
        dict(type='CifarResNet50'),
        'layer1.2.bn3 layer2.3.bn3 layer3.5.bn3 layer4.2.bn3',
    ),
    (
        dict(type='CifarMobileNetV2'),
        'blocks.1.1.conv.7 blocks.2.2.conv.7 blocks.4.2.conv.7 blocks.6.0.conv.7',
    ),
    (dict(type='CifarShuffleNetV1'), 'layer1.3.bn3 layer2.7.bn3 layer3.3.bn3'),
    # of half of the channels
    (dict(type='CifarShuffleNetV2'), '- - -'),
    (
        dict(type='TorchvisionNetwork', name='resnet18'),
        'layer1.1.bn2 layer2.1.bn2 layer3.1.bn2 layer4.1.bn2',
    ),
    (dict(type='MobileNetV1'), 'model.3.4 model.5.4 model.11.4 model.13.4'),
]


def norms_of(model, role='teacher'):
    """Names of the levels' BatchNorms, without the pooled vector's."""
    names = {
        module.weight.data_ptr(): name
        for name, module in model.backbone.named_modules()
        if isinstance(module, torch.nn.BatchNorm2d)
    }
    *found, _ = probe(model, model.level_names(role)).norms
    for norm in filter(None, found):
        assert not norm[0].requires_grad and norm[0].shape == norm[1].shape
    return [names[norm[0].data_ptr()] if norm else '-' for norm in found]


@pytest.mark.parametrize('network, expected', NETWORKS, ids=str)
def test_levels_before_the_activation(network, expected):
    imagenet = network['type'] in ('TorchvisionNetwork', 'MobileNetV1')
    model = MODELS.build(
        classifier(backbone=network, input_size=64 if imagenet else 32)
    )
    assert norms_of(model) == expected.split()
    assert not [m for m in model.modules() if m._forward_hooks or m._forward_pre_hooks]


def test_levels_that_end_otherwise():
    # sums, behind a convolution
    wide = dict(type='CifarWideResNet', depth=10)
    assert norms_of(MODELS.build(classifier(backbone=wide)), 'student') == 3 * ['-']
    # a neck's maps, all put out by one module
    detector = MODELS.build(tiny_detector())
    assert probe(detector, ['neck']).norms == 5 * [None]


@pytest.fixture
def teacher_of(tmp_path):
    config = classifier()
    torch.manual_seed(0)
    model = MODELS.build(config)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.fill_(0.3)
    torch.save(model.state_dict(), tmp_path / 'teacher.pth')

    def build(**settings):
        given = TeacherSettings(config, str(tmp_path / 'teacher.pth'), **settings)
        return Teacher(given), Teacher(given, heads='all'), copy.deepcopy(model)

    return build


def test_a_teacher_with_statistics_of_the_batch(teacher_of):
    teacher, evaluated, model = teacher_of(batch_statistics=True)
    data = image_batch(model)
    _, logits = teacher(**data)
    state = copy.deepcopy(teacher.state_dict())
    assert torch.equal(logits, model.train()(data['inputs']))
    assert teacher.model.backbone.bn1.training is False
    # nothing drifts
    teacher(data['inputs'] + 1, None)
    assert torch.equal(teacher(**data)[1], logits)
    for key, value in teacher.state_dict().items():
        assert torch.equal(value, state[key]), key
    usual, _, model = teacher_of()
    expected = model.eval()(data['inputs'])
    for each in (usual, evaluated):
        torch.testing.assert_close(each(**data)[1], expected)
    assert not torch.allclose(logits, expected)
    memory = teacher.settings.remembered()
    assert memory['teacher batch statistics'] is True
    assert 'teacher batch statistics' not in usual.settings.remembered()


def test_it_is_yes_or_no():
    with pytest.raises(UserInputError) as error:
        TeacherSettings('r101.py', 'r101.pth', batch_statistics='no')
    assert str(error.value) == "teacher=dict(batch_statistics='no'): must be bool"
