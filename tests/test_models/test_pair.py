"""What methods are told of a pair of models before the first batch."""

from mmreviewkd.methods import Method

import pytest
from mmdet.registry import MODELS

told = []


@MODELS.register_module()
class Curious(Method):
    """Keeps what it is told."""

    @classmethod
    def for_pair(cls, pair, **settings):
        told.append(pair)
        return cls(**settings)


def pair_of(kind, **settings):
    config = dict(kind.config(), methods=dict(curious=dict(type='Curious')))
    del config['review']
    MODELS.build(dict(config, **settings))
    return told.pop()


@pytest.mark.parametrize('kind', ('classifier',), indirect=True)
def test_classifiers(kind):
    pair = pair_of(kind)
    assert pair.levels == [f'level {i}' for i in range(4)]
    assert pair.strides == pair.teacher_strides == [1, 2, 4, 32]
    sizes = [(len(weight), len(bias)) for weight, bias in pair.teacher_norms[:3]]
    assert sizes == [(8, 8), (16, 16), (32, 32)]
    assert pair.maps == [0, 1, 2]  # and not the pooled vector
    # other sizes, in another order, one of them twice; none is a vector
    student = dict(kind.config()['student'], levels=['layer1', 'layer1', 'layer3'])
    teacher = kind.config()['teacher']
    config = dict(teacher['config'], levels=['layer1', 'layer2', 'layer2'])
    pair = pair_of(kind, student=student, teacher=dict(teacher, config=config))
    assert pair.strides == [1, 1, 4] and pair.teacher_strides == [1, 2, 2]
    assert pair.maps == [0, 1, 2]


@pytest.mark.parametrize('kind', ('two_stage',), indirect=True)
def test_detectors(kind):
    pair = pair_of(kind)
    assert pair.strides == pair.teacher_strides == [4, 8, 16, 32, 64]
    assert pair.maps == [0, 1, 2, 3, 4]
    pair = pair_of(kind, strides=(8, 32), part='backbone')
    assert pair.strides == pair.teacher_strides == [8, 32] and pair.maps == [0, 1]
    assert pair.teacher_norms == [None, None]
