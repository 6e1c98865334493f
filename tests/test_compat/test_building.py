"""What was built from a config when an exception came up."""

from mmreviewkd.compat.building import failed_builds

import pytest
from mmdet.registry import MODELS


def builds_of(cfg):
    with pytest.raises((KeyError, TypeError)) as error:
        MODELS.build(cfg)
    return failed_builds(error.value)


def test_a_class_that_a_part_asks_for_and_no_registry_has():
    outer, inner = builds_of(
        dict(
            type='ImageClassifier',
            backbone=dict(type='ResNext50', depth=50),
            data_preprocessor=dict(type='CropFlipPreprocessor'),
        )
    )
    assert outer.type == 'ImageClassifier' and not outer.direct
    assert outer.found.__name__ == 'ImageClassifier'
    assert inner.type == 'ResNext50' and inner.direct
    assert inner.found is None and inner.given['depth'] == 50
    assert inner.registry.name == 'model'


def test_an_argument_that_a_class_does_not_take():
    (build,) = builds_of(dict(type='CifarResNet', depht=8))
    assert build.found.__name__ == 'CifarResNet'
    assert build.given['depht'] == 8
    assert build.direct


def test_a_config_without_a_type():
    (build,) = builds_of(dict(depth=50))
    assert build.type is None and build.found is None
    assert build.given == dict(depth=50)


def test_an_error_of_something_else():
    with pytest.raises(KeyError) as error:
        {}['a']
    assert failed_builds(error.value) == []
