"""A teacher and a review in bfloat16 beside a student in float32."""

from mmreviewkd.errors import UserInputError
from tests.support.students import losses_of

import pytest
import torch
from mmdet.registry import MODELS


def build(kind, teacher=None, review=None, **replaced):
    cfg = dict(kind.config(), **replaced)
    cfg['teacher'].update(teacher or {})
    cfg['review'].update(review or {})
    torch.manual_seed(1)
    return MODELS.build(cfg)


@pytest.mark.parametrize('kind', ['two_stage', 'classifier'], indirect=True)
@pytest.mark.parametrize(
    'settings',
    [dict(teacher=dict(precision='bfloat16')), dict(review=dict(precision='bfloat16'))],
)
def test_losses_are_near_those_of_float32(kind, settings):
    exact = losses_of(build(kind), kind.batch())
    near = losses_of(build(kind, **settings), kind.batch())
    assert near.keys() == exact.keys()
    for name, value in near.items():
        if 'review' not in name:  # the student's own
            torch.testing.assert_close(value, exact[name], rtol=0, atol=0)
    loss, expected = near['loss_review'], exact['loss_review']
    assert loss.dtype == torch.float32 and loss != expected
    torch.testing.assert_close(loss, expected, rtol=1e-2, atol=0)


@pytest.mark.parametrize('kind', ['two_stage'], indirect=True)
def test_features_and_logits_come_back_in_the_runs_precision(kind):
    model = build(kind, dict(precision='bfloat16'), logits=dict(type='KDLoss'))
    losses = losses_of(model, kind.batch())
    assert losses['loss_logits'].dtype == torch.float32
    teacher, images = model.distillation.teacher, torch.rand(1, 3, 64, 64)
    features, outputs = teacher(images, [None])
    assert {feature.dtype for feature in (*features, *outputs)} == {torch.float32}


@pytest.mark.parametrize('kind', ['classifier'], indirect=True)
def test_what_checkpoints_keep(kind):
    assert 'teacher precision' not in build(kind).review.settings
    settings = build(kind, dict(precision='bfloat16')).review.settings
    assert settings['teacher precision'] == 'bfloat16'


@pytest.mark.parametrize('kind', ['classifier'], indirect=True)
@pytest.mark.parametrize('where', ['teacher', 'review'])
def test_an_unknown_precision(kind, where):
    with pytest.raises(UserInputError, match=rf"{where}=dict\(precision='half'\)"):
        build(kind, **{where: dict(precision='half')})
