"""A distillation's config answers for its student's."""

import copy
import pickle

import pytest
from mmengine.config import Config, ConfigDict


@pytest.fixture
def model():
    student = dict(type='FasterRCNN', backbone=dict(type='ResNet', init_cfg=dict(a=1)))
    teacher = dict(config='a.py', checkpoint='a.pth')
    return Config(
        dict(model=dict(type='ReviewKD', student=student, teacher=teacher))
    ).model


def test_the_students_parts(model):
    # as mmdet's init_detector reads and writes it
    assert 'init_cfg' in model.backbone
    model.backbone.init_cfg = None
    assert model.student.backbone == dict(type='ResNet', init_cfg=None)
    assert model.teacher.config == 'a.py' and model.type == 'ReviewKD'
    with pytest.raises(AttributeError, match='neck'):
        _ = model.neck
    assert not hasattr(model, 'neck')


def test_keys_are_its_own(model):
    assert list(model) == ['type', 'student', 'teacher']
    assert 'backbone' not in model and model.get('backbone') is None
    with pytest.raises(KeyError):
        model['backbone']


def test_copies(model):
    for copied in (copy.copy(model), copy.deepcopy(model), copy.deepcopy(model)):
        assert copied == model and copied.backbone.type == 'ResNet'
    assert pickle.loads(pickle.dumps(model)) == model


@pytest.mark.parametrize(
    'config',
    [
        dict(type='FasterRCNN', student=dict(backbone=1)),
        dict(type='ReviewKD'),
        dict(type='ReviewKD', student='a.py'),
        dict(student=dict(backbone=1)),
    ],
)
def test_others_answer_as_ever(config):
    with pytest.raises(AttributeError, match="no attribute 'backbone'"):
        _ = ConfigDict(config).backbone
