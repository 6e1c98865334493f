"""The models that are shown side by side, and checkpoints that are of another kind."""

from mmreviewkd.engine.shown_models import load_models
from mmreviewkd.errors import UserInputError

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config

META = dict(dataset_meta=dict(classes=('a', 'b'), palette=[(0, 0, 0), (9, 9, 9)]))


@pytest.fixture
def saved(project):
    """Paths of a distilled student's checkpoint and of one trained alone."""
    paths = {}
    for name in ('distil', 'plain'):
        model = MODELS.build(Config.fromfile(project / f'{name}.py').model)
        paths[name] = str(project / f'{name}.pth')
        torch.save(dict(state_dict=model.state_dict(), meta=META), paths[name])
    return paths


@pytest.fixture
def cfg(project):
    return Config.fromfile(project / 'distil.py')


def test_all_three(cfg, saved):
    models, meta = load_models(cfg, saved['distil'], saved['plain'])
    assert list(models) == ['teacher', 'student alone', 'distilled student']
    assert not any(model.training for model in models.values())
    assert meta == META['dataset_meta']
    weights = torch.load(saved['plain'], weights_only=False)['state_dict']
    for name, value in models['student alone'].state_dict().items():
        assert torch.equal(value.cpu(), weights[name])


def test_without_one_trained_alone_as_saved_in_a_wrapper(cfg, saved):
    checkpoint = torch.load(saved['distil'], weights_only=False)
    weights = checkpoint['state_dict']
    checkpoint['state_dict'] = {f'module.{name}': weights[name] for name in weights}
    torch.save(checkpoint, saved['distil'])
    models, _ = load_models(cfg, saved['distil'])
    assert list(models) == ['teacher', 'distilled student']
    loaded = models['distilled student'].state_dict()
    assert all(torch.equal(loaded[name].cpu(), weights[name]) for name in weights)


@pytest.mark.parametrize(
    'distilled, alone, message',
    [
        ('plain', None, 'has no review.* weights: it is of no distilled run'),
        ('distil', 'distil', 'has review.* weights: it is of a distilled run, not of'),
    ],
)
def test_a_checkpoint_of_the_other_kind(cfg, saved, distilled, alone, message):
    with pytest.raises(UserInputError) as error:
        load_models(cfg, saved[distilled], alone and saved[alone])
    assert message in str(error.value)


def test_a_checkpoint_that_is_not_there(cfg, saved):
    gone = saved['distil'].replace('.pth', 'l.pth')
    with pytest.raises(UserInputError) as error:
        load_models(cfg, gone)
    near = f'near names: {saved["distil"]}'
    message = f'distilled checkpoint {gone} does not exist; {near}'
    assert str(error.value).startswith(message)


def test_a_distillation_without_a_review(cfg, saved):
    cfg.model.review = None
    cfg.model.methods = dict(kd=dict(type='KDLoss'))
    with pytest.raises(UserInputError, match='distil.py has no review, which is what'):
        load_models(cfg, saved['distil'])
