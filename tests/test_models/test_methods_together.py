"""Several methods at once, on a classifier and on a detector."""

import copy

from mmreviewkd.methods import AttentionTransfer, TrainedMethod
from mmreviewkd.models.export import export_student
from tests.support.students import assert_same, losses_of

import pytest
import torch
import torch.nn as nn
from mmdet.registry import MODELS
from mmengine.runner import load_checkpoint


@MODELS.register_module()
class TinyMimic(TrainedMethod):
    """The first level's mean squared distance, after a convolution."""

    def __init__(self, pair, sizes=(1, 1), **kwargs):
        super().__init__(**kwargs)
        channels = pair.student_channels[0], pair.teacher_channels[0]
        self.fit = nn.Conv2d(*channels, sizes[0])

    def losses(self, student, teacher):
        distance = (self.fit(student.features[0]) - teacher.features[0]).square().mean()
        return dict(loss=distance, distance=distance.detach())


METHODS = dict(
    kd=dict(type='KDLoss', weight=0.9),
    at=dict(type='AttentionTransfer', weight=100.0),
    mimic=dict(type='TinyMimic', weight=0.5, sizes=(1, 1)),
)
NAMES = ('kd', 'at', 'mimic', 'review')
two_kinds = pytest.mark.parametrize('kind', ('two_stage', 'classifier'), indirect=True)
classifier = pytest.mark.parametrize('kind', ('classifier',), indirect=True)


def distilled(kind, review=1.0, **settings):
    config = dict(kind.config(), methods=METHODS, review=dict(weight=review))
    if review is None:
        del config['review']
    config.update(settings)
    torch.manual_seed(1)
    return MODELS.build(copy.deepcopy(config))


def summed(losses):
    """As a detector's losses are given, by level."""
    values = {
        key: sum(v.mean() for v in value) if isinstance(value, list) else value
        for key, value in losses.items()
    }
    return {key: value.detach() for key, value in values.items()}


@two_kinds
def test_losses_are_named_added_and_in_order(kind):
    model = distilled(kind)
    plain = losses_of(kind.plain(), kind.batch())
    losses = losses_of(model, kind.batch())
    assert_same({key: losses[key] for key in plain}, plain)
    levels = [key for key in losses if key.startswith('review_')]
    assert len(levels) == (4 if kind.name == 'classifier' else 5)
    assert list(losses) == [
        *plain,
        'loss_kd',
        'loss_at',
        *('loss_mimic', 'mimic_distance'),
        'loss_review',
        *levels,
    ]
    assert all(losses[f'loss_{name}'] > 0 for name in NAMES)
    torch.testing.assert_close(losses['loss_mimic'], 0.5 * losses['mimic_distance'])
    total, _ = model.parse_losses(losses)
    parts = summed(losses)
    torch.testing.assert_close(
        total.detach(),
        sum(value.mean() for key, value in parts.items() if key.startswith('loss')),
    )
    total.backward()
    assert all(p.grad.abs().sum() > 0 for p in model.mimic.parameters())
    assert all(p.grad is None for p in model.distillation.teacher.parameters())


@two_kinds
@pytest.mark.parametrize('name', NAMES)
def test_each_weight_and_factor_acts_alone(kind, name):
    expected = summed(losses_of(distilled(kind), kind.batch()))
    expected[f'loss_{name}'] = expected[f'loss_{name}'] / 2
    factored = distilled(kind)
    getattr(factored, name).factor = 0.5
    if name == 'review':
        weighed = distilled(kind, review=0.5)
    else:
        half = dict(METHODS[name], weight=METHODS[name]['weight'] / 2)
        weighed = distilled(kind, methods={**METHODS, name: half})
    for model in (factored, weighed):
        torch.testing.assert_close(
            summed(losses_of(model, kind.batch())), expected, rtol=1e-5, atol=1e-7
        )


@two_kinds
@pytest.mark.parametrize('setting', ('weight', 'factor'))
@pytest.mark.parametrize('name', NAMES)
def test_nothing_is_computed_of_a_weight_of_zero(kind, name, setting, monkeypatch):
    expected = summed(losses_of(distilled(kind), kind.batch()))
    model = distilled(kind)
    method = getattr(model, name)
    setattr(method, setting, 0.0)
    monkeypatch.setattr(method, 'losses', None)
    losses = losses_of(model, kind.batch())
    expected = {key: v for key, v in expected.items() if not key.startswith(name)}
    parameters = list(method.parameters())
    if parameters:  # DDP waits for a gradient of each
        expected[f'loss_{name}'] = torch.tensor(0.0)
    else:
        del expected[f'loss_{name}']
    assert_same(summed(losses), expected)
    model.parse_losses(losses)[0].backward()
    assert all((parameter.grad == 0).all() for parameter in parameters)


@two_kinds
def test_the_teacher_rests_with_the_last_method(kind, monkeypatch):
    model = distilled(kind)
    for name in NAMES:
        getattr(model, name).factor = 0.0
    monkeypatch.setattr(model.distillation.teacher, 'forward', None)
    losses = losses_of(model, kind.batch())
    assert losses.pop('loss_mimic') == losses.pop('loss_review') == 0
    assert_same(losses, losses_of(kind.plain(), kind.batch()))


@two_kinds
def test_a_checkpoint_of_it_loads_into_the_plain_student(kind, tmp_path):
    model, plain = distilled(kind), kind.plain(seed=3)
    state = model.state_dict()
    own = set(plain.state_dict())
    added = {key for key in state if key not in own}
    assert {key for key in added if not key.startswith('review.')} == {
        'mimic.fit.weight',
        'mimic.fit.bias',
        'mimic._extra_state',
    }
    torch.save(dict(state_dict=state, meta={}), tmp_path / 'epoch_1.pth')
    export_student(str(tmp_path / 'epoch_1.pth'), str(tmp_path / 'student.pth'))
    exported = torch.load(tmp_path / 'student.pth', weights_only=True)['state_dict']
    assert set(exported) == own
    for name, strict in (('epoch_1', False), ('student', True)):
        student = kind.plain(seed=3)
        load_checkpoint(student, str(tmp_path / f'{name}.pth'), strict=strict)
        assert_same(dict(student.state_dict()), {key: state[key] for key in own})


@classifier
def test_a_resume_with_other_settings_says_so_by_name(kind, monkeypatch):
    said = []
    monkeypatch.setattr(
        'mmreviewkd.methods.method.print_log', lambda message, *_: said.append(message)
    )
    state = distilled(kind, review=None).state_dict()
    distilled(kind, review=None).load_state_dict(state)
    # and the same by its class
    methods = copy.deepcopy(METHODS)
    methods['at']['type'] = AttentionTransfer
    distilled(kind, review=None, methods=methods).load_state_dict(state)
    assert not said
    methods['mimic']['weight'] = 2.0
    distilled(kind, review=None, methods=methods).load_state_dict(state)
    (message,) = said
    assert message.startswith('The mimic of this checkpoint was trained with another ')
    assert 'weight 0.5 (now: 2.0)' in message


@two_kinds
def test_without_the_review(kind):
    model = distilled(kind, review=None)
    assert not hasattr(model, 'review')
    losses = losses_of(model, kind.batch())
    with_it = losses_of(distilled(kind), kind.batch())
    assert_same(losses, {k: v for k, v in with_it.items() if 'review' not in k})
