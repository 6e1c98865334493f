"""Settings of a distillation that cannot be used: one line each."""

from mmreviewkd.errors import UserInputError
from mmreviewkd.methods import AttentionTransfer
from tests.support.commands import call

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
    message = (
        f'ReviewKD(strides={strides!r}): must be a list of different whole '
        'numbers > 0, in pixels, such as [8, 16, 32]; left out, all levels '
        'take part'
    )
    assert refused(distiller, strides=strides) == message
    assert refused(distiller, review=dict(weight=1.0, strides=strides)) == message


@pytest.mark.parametrize('part', ['head', 3, ''])
def test_part(distiller, part):
    message = f"ReviewKD(part={part!r}): must be 'neck' or 'backbone'"
    assert refused(distiller, part=part) == message
    assert refused(distiller, review=dict(weight=1.0, features=part)) == message


@pytest.mark.parametrize('strides', [(8, 16), [16, 8]])
@pytest.mark.parametrize('as_it_was', [False, True])
def test_levels(distiller, strides, as_it_was):
    if as_it_was:
        review = dict(weight=1.0, strides=strides, features='backbone')
        model = distiller(review=review)
    else:
        model = distiller(strides=strides, part='backbone')
    assert model.distillation.match.names == ['stride 8', 'stride 16']
    assert model.distillation.names == ['backbone']
    assert model.review.settings['features'] == 'backbone'


def test_levels_of_methods_alone(distiller):
    at = dict(type='AttentionTransfer')
    model = distiller(
        review=None, methods=dict(at=at), strides=(8, 16), part='backbone'
    )
    assert model.distillation.match.names == ['stride 8', 'stride 16']
    assert model.distillation.names == ['backbone']


@pytest.mark.parametrize(
    'new, old, message',
    [
        (
            dict(strides=(8,)),
            dict(strides=(8,)),
            'ReviewKD(strides=(8,)) and review=dict(strides=(8,))',
        ),
        (
            dict(part='neck'),
            dict(features='backbone'),
            "ReviewKD(part='neck') and review=dict(features='backbone')",
        ),
    ],
)
def test_levels_twice(distiller, new, old, message):
    assert refused(distiller, review=dict(weight=1.0, **old), **new) == (
        f'{message} are two settings of one thing; leave the latter out'
    )


@pytest.mark.parametrize(
    'given, message',
    [
        (dict(reveiw=dict(weight=2.0)), 'ReviewKD has no reveiw; near names: review'),
        (dict(techer=1), 'ReviewKD has no techer; near names: teacher'),
        (
            dict(xyz=1),
            'ReviewKD has no xyz; it takes student, teacher, review, '
            'logits, methods, strides, part, inherit, data_preprocessor',
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


@pytest.mark.parametrize(
    'given, message',
    [
        (dict(review=dict(weight=True)), 'review=dict(weight=True): the weight of the'),
        (
            dict(review=dict(weight=1.0, mid_channels=0)),
            'review=dict(mid_channels=0): must be a whole number >= 1',
        ),
        (
            dict(review=dict(weight=1.0, mid_channels='a')),
            "review=dict(mid_channels='a'): must be a whole number >= 1",
        ),
        (dict(inherit=5), 'inherit=5: must be names of parts'),
        (dict(inherit=['neck', 5]), "inherit=['neck', 5]: must be names of parts"),
        (
            dict(logits=dict(type='DKDLoss', temperature=0)),
            'DKDLoss(temperature=0): must be a number > 0',
        ),
        (
            dict(logits=dict(type='DKDLoss', alpha=-1.0)),
            'DKDLoss(alpha=-1.0): must be a number >= 0',
        ),
        (
            dict(methods=dict(kd=dict(type='KDLoss', temperature='4'))),
            "KDLoss(temperature='4'): must be a number > 0",
        ),
    ],
)
def test_values_that_cannot_be(distiller, given, message):
    assert refused(distiller, **given).startswith(message)


def test_none_drops_the_method_of_a_base_config(distiller):
    model = distiller(methods=dict(kd=None, at=dict(type='AttentionTransfer')))
    assert model.distillation.methods == ['at', 'review']


def test_a_type_is_remembered_by_its_bare_name(distiller):
    for kind in ('mmreviewkd.methods.AttentionTransfer', AttentionTransfer):
        model = distiller(methods=dict(at=dict(type=kind)))
        assert model.review.settings['at'] == dict(type='AttentionTransfer')
