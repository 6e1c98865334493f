"""Teacher and student are built once before a run, and nothing is left."""

import copy
import gc
import logging
import weakref

from mmreviewkd.engine import check_pair as module
from mmreviewkd.engine.check_pair import check_pair, warn_if_alike
from mmreviewkd.errors import SettingError, UserInputError
from mmreviewkd.models import ReviewKD, distiller
from tests.support.detectors import tiny_detector

import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope


@pytest.fixture
def config(teachers):

    def make(family='faster_rcnn', **settings):
        return Config(
            dict(
                model=ConfigDict(
                    type='ReviewKD',
                    student=tiny_detector(family),
                    teacher=teachers['faster_rcnn'],
                    review=dict(weight=1.0),
                ),
                default_scope='mmdet',
                **settings,
            )
        )

    return make


def test_a_pair_that_fits_leaves_no_traces(config, monkeypatch, caplog):
    built = []
    distilled = distiller.distilled

    def keep(student, distillation):
        built.append(weakref.ref(student))
        return distilled(student, distillation)

    monkeypatch.setattr(distiller, 'distilled', keep)
    # the log has a line on another normalisation, if it is not kept out
    cfg = config()
    cfg.model.student.data_preprocessor.mean = [0.0, 0.0, 0.0]
    before = copy.deepcopy(cfg.to_dict())
    logger = MMLogger.get_current_instance()
    lines = []
    handler = logging.Handler()
    handler.emit = lines.append
    logger.addHandler(handler)
    try:
        state, scopes = torch.get_rng_state(), [*DefaultScope._instance_dict]
        level = logger.level
        check_pair(cfg)
        assert torch.equal(torch.get_rng_state(), state)
        assert logger.level == level
        assert not lines
        ReviewKD(**{k: v for k, v in cfg.model.items() if k != 'type'})
        assert any('normalisation' in line.getMessage() for line in lines)
    finally:
        logger.removeHandler(handler)
    assert [*DefaultScope._instance_dict] == scopes
    assert cfg.to_dict() == before
    gc.collect()
    assert len(built) == 2 and built[0]() is None


def test_pairs_that_do_not_fit(config):
    level = MMLogger.get_current_instance().level
    with pytest.raises(SettingError) as error:
        check_pair(config('retinanet'))
    assert error.value.name == 'strides'
    assert error.value.value == (8, 16, 32, 64)
    assert str(error.value).endswith('ReviewKD(strides=(8, 16, 32, 64))')
    cfg = config()
    cfg.model.teacher = dict(cfg.model.teacher, checkpoint='none.pth')
    with pytest.raises(UserInputError, match='none.pth does not exist'):
        check_pair(cfg)
    assert MMLogger.get_current_instance().level == level


def test_a_preprocessor_beside_the_model(config):
    cfg = config()
    cfg.data_preprocessor = cfg.model.student.pop('data_preprocessor')
    check_pair(cfg)
    assert 'data_preprocessor' not in cfg.model


@pytest.fixture
def said(monkeypatch):
    lines = []
    monkeypatch.setattr(module, 'print_log', lambda message, *_: lines.append(message))
    return lines


def test_teacher_and_student_the_same(config, teachers, said, tmp_path):
    cfg = config()
    warn_if_alike(cfg)
    assert not said
    # a path, and the student's preprocessor beside its model
    path = tmp_path / 'teacher.py'
    path.write_text(f'model = {tiny_detector().to_dict()}')
    file = teachers['faster_rcnn']['checkpoint']
    cfg.model.teacher = dict(config=str(path), checkpoint=file)
    cfg.data_preprocessor = cfg.model.student.pop('data_preprocessor')
    large = 'The student is as large as the teacher: both have the same config'
    warn_if_alike(cfg)
    cfg.load_from = str(tmp_path / 'other.pth')
    warn_if_alike(cfg)
    assert said == [large, large]
    link = tmp_path / 'link.pth'
    link.symlink_to(file)
    cfg.load_from = str(link)
    warn_if_alike(cfg)
    assert said.pop() == (
        'There is nothing to learn: teacher and student '
        f'have the same config and the same weights, {link}'
    )
    cfg.model.student.neck.out_channels = 6
    warn_if_alike(cfg)
    cfg.model = cfg.model.student
    warn_if_alike(cfg)
    assert said == [large, large]
