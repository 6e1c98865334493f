"""Levels of detectors: which there are, and which learn together."""

from mmreviewkd.errors import UserInputError
from mmreviewkd.models.detectors import match_levels
from tests.support.batches import batch
from tests.support.detectors import tiny_detector
from tests.support.students import losses_of

import pytest


def test_one_family_teaches_another_at_chosen_levels(distiller):
    with pytest.raises(UserInputError) as error:
        distiller('retinanet', 'faster_rcnn')
    assert str(error.value) == (
        'teacher has levels at strides (4, 8, 16, 32, 64), student at '
        '(8, 16, 32, 64, 128); no pair of levels at (4, 128). To use common '
        'ones alone: ReviewKD(strides=(8, 16, 32, 64))'
    )
    model = distiller('retinanet', 'faster_rcnn', strides=(8, 16, 32, 64))
    assert model.distillation.match.indices == [(0, 1), (1, 2), (2, 3), (3, 4)]
    losses = losses_of(model)
    assert [k for k in losses if 'stride' in k] == [
        f'review_stride{s}' for s in (8, 16, 32, 64)
    ]
    data = model.data_preprocessor(batch(), True)
    targets = model.distillation.teacher.model.extract_feat(data['inputs'])
    reviewed = model.review(
        model.extract_feat(data['inputs'])[:4],
        [t.shape[-2:] for t in targets[1:]],
    )
    assert [r.shape for r in reviewed] == [t.shape for t in targets[1:]]


def test_levels_of_a_scaled_teacher_count_in_the_students_pixels(distiller, teachers):
    # p3-p7 of an image of twice the side are p2-p6 of this one
    model = distiller(teacher=dict(teachers['retinanet'], scale=2.0))
    assert model.distillation.teacher.levels.strides == [4, 8, 16, 32, 64]
    assert model.distillation.match.indices == [(i, i) for i in range(5)]
    with pytest.raises(UserInputError) as error:
        distiller(teacher=dict(teachers['faster_rcnn'], scale=0.5))
    assert (
        'teacher has levels at strides (8, 16, 32, 64, 128), student at '
        '(4, 8, 16, 32, 64)'
    ) in str(error.value)
    for scale in (0, -1.0, 'large', float('inf'), float('nan'), None):
        with pytest.raises(UserInputError, match='must be a number > 0'):
            distiller(teacher=dict(teachers['faster_rcnn'], scale=scale))


def test_levels_match_by_stride_whatever_their_order():
    assert match_levels([8, 16, 4], [4, 8, 16]) == [(2, 0), (0, 1), (1, 2)]
    assert match_levels([8, 16], [4, 8], strides=[8]) == [(0, 1)]
    for student, teacher, strides, message in (
        ([8, 8], [8, 8], None, 'no pair of levels at (8,)'),
        ([8], [16], None, 'They have no stride in common'),
        ([8, 16, 16], [8, 16, 16], None, 'ReviewKD(strides=(8,))'),
        ([8, 16], [8, 16], [32], 'no pair of levels at (32,)'),
    ):
        with pytest.raises(UserInputError) as error:
            match_levels(student, teacher, strides)
        assert message in str(error.value)
        assert f'{tuple(teacher)}, student at {tuple(student)}' in str(error.value)


def test_student_and_teacher_need_a_neck(distiller, tmp_path):
    bare = tiny_detector('retinanet')
    bare.neck = None
    with pytest.raises(UserInputError) as error:
        distiller(student=bare)
    assert str(error.value) == (
        'student RetinaNet has no neck; the review works on the levels that a '
        "neck puts out, or on the backbones': ReviewKD(part='backbone')"
    )
    with pytest.raises(UserInputError, match='teacher RetinaNet has no neck'):
        distiller(teacher=dict(config=bare, checkpoint='x.pth'))


def test_a_model_that_takes_no_large_image(distiller, monkeypatch):
    from mmreviewkd.models import detectors

    monkeypatch.setattr(detectors, '_BLANK_SIZE', 0)
    with pytest.raises(UserInputError, match='does not take an image of 0x0'):
        distiller()
