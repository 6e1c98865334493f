"""Settings of a distillation that cannot be used: one line each."""

from mmreviewkd.errors import UserInputError
from tests.test_tools.test_entry_points import call

import pytest


def refused(distiller, **settings):
    with pytest.raises(UserInputError) as error:
        distiller(**settings)
    assert '\n' not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    'strides',
    [8, '8', [], ['8', '16'], [8, 0], [-8], [8, 8], [8.0, 16], {8, 16}, [True]],
)
def test_strides(distiller, strides):
    assert refused(distiller, review=dict(weight=1.0, strides=strides)) == (
        f'review=dict(strides={strides!r}): must be a list of different whole '
        'numbers > 0, in pixels, such as [8, 16, 32]; left out, all levels '
        'take part'
    )


@pytest.mark.parametrize('strides', [(8, 16), [16, 8]])
def test_strides_in_any_order(distiller, strides):
    model = distiller(review=dict(weight=1.0, strides=strides))
    assert model.distillation.match.names == ['stride 8', 'stride 16']


@pytest.mark.parametrize(
    'given, message',
    [
        (dict(reveiw=dict(weight=2.0)), 'ReviewKD has no reveiw; near names: review'),
        (dict(techer=1), 'ReviewKD has no techer; near names: teacher'),
        (
            dict(xyz=1),
            'ReviewKD has no xyz; it takes student, teacher, review, '
            'logits, methods, inherit, data_preprocessor',
        ),
        (dict(student=None), 'ReviewKD needs student=dict(type=..., ...)'),
    ],
)
def test_misspelt_settings_of_the_distiller(distiller, given, message):
    assert refused(distiller, **given) == message


def test_from_the_command_line(project):
    assert call(
        'train',
        project / 'distil.py',
        '--work-dir',
        project / 'run',
        '--cfg-options',
        'model.reveiw.weight=2',
    ) == ('error: ReviewKD has no reveiw; near names: review')
    assert not list((project / 'run').glob('*.pth'))
