"""A resume with other settings, where no method has parameters."""

from mmreviewkd.engine.remembered_settings import remember, warn_of_other_settings

import pytest
from mmdet.registry import MODELS


@pytest.fixture
def build(distiller):
    def call(temperature, **replaced):
        kd = dict(type='KDLoss', temperature=temperature)
        return distiller(**dict(dict(review=None, methods=dict(kd=kd)), **replaced))

    return call


def test_another_temperature_is_told(build, monkeypatch):
    meta = {}
    remember(build(4.0), meta)
    lines = []
    monkeypatch.setattr(
        'mmreviewkd.methods.method.print_log', lambda line, *_: lines.append(line)
    )
    warn_of_other_settings(build(4.0), meta)
    assert not lines
    warn_of_other_settings(build(2.0), meta)
    assert lines == [
        'The distillation of this checkpoint was trained with another kd '
        "{'type': 'KDLoss', 'temperature': 4.0} (now: {'type': 'KDLoss', "
        "'temperature': 2.0})"
    ]
    # a checkpoint of an earlier commit says nothing of it
    warn_of_other_settings(build(2.0), {})
    assert len(lines) == 1


def test_a_method_with_parameters_says_it_beside_them(build, teachers):
    meta = {}
    remember(build(4.0, review=dict(weight=1.0)), meta)
    remember(MODELS.build(teachers['faster_rcnn']['config']), meta)
    assert meta == {}
