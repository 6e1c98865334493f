"""Methods that a config cannot have, or that cannot be trained: one line each."""

import copy

from mmreviewkd.errors import UserInputError
from mmreviewkd.methods import Method
from tests.support.students import losses_of

import pytest
import torch.nn as nn
from mmdet.registry import MODELS

classifier = pytest.mark.parametrize('kind', ('classifier',), indirect=True)


@MODELS.register_module()
class Written(Method):
    """Returns what a test wants, of the first level's mean."""

    returns = dict(loss=1.0)

    def losses(self, student, teacher):
        mean = student.features[0].mean()
        return {key: value * mean for key, value in self.returns.items()}


def distilled(kind, **settings):
    config = kind.config()
    del config['review']
    return MODELS.build(copy.deepcopy(dict(config, **settings)))


@classifier
@pytest.mark.parametrize(
    'methods, message',
    [
        (
            dict(at=dict(type='AttentionTransfr')),
            "methods.at=dict(type='AttentionTransfr'): is no method of distillation; "
            'near names: AttentionTransfer',
        ),
        (
            dict(at=dict(type='ResNet')),
            "methods.at=dict(type='ResNet'): is no method of distillation; there are A",
        ),
        (dict(at='KDLoss'), 'methods.at=dict(type=None): is no method'),
        ([dict(type='KDLoss')], "methods=[{'type': 'KDLoss'}]: must be a dict"),
        (
            dict(kd=dict(type='KDLoss', temprature=4.0)),
            'methods.kd=dict(temprature=4.0): KDLoss has no argument temprature; near '
            'names: temperature',
        ),
        (
            dict(at=dict(type='AttentionTransfer', wieght=4.0)),
            'methods.at=dict(wieght=4.0): AttentionTransfer has no argument wieght; '
            'near names: weight',
        ),
        (
            dict(kd=dict(type='KDLoss', weight='1')),
            "methods.kd=dict(weight='1'): the weight of the loss kd must be a number",
        ),
        (
            dict(kd=dict(type='KDLoss', standardize='no')),
            "KDLoss(standardize='no'): must be True or False",
        ),
        (
            dict(dkd=dict(type='DKDLoss', standardize=1)),
            'DKDLoss(standardize=1): must be True or False',
        ),
        (
            dict(review=dict(type='Review', in_channels=[4])),
            '__init__() got multiple values for argument',
        ),
        (
            dict(backbone=dict(type='KDLoss')),
            'a ImageClassifier cannot keep what it learns with under the name '
            "'backbone'",
        ),
        ({'k.d': dict(type='KDLoss')}, "the name 'k.d'"),
        ({}, 'ReviewKD needs review=dict(weight=..., mid_channels=...'),
    ],
)
def test_refused(kind, methods, message):
    with pytest.raises(UserInputError) as error:
        distilled(kind, methods=methods)
    assert message in str(error.value) and '\n' not in str(error.value)


@classifier
@pytest.mark.parametrize('reads', ['logits', ('logit',), ['features']])
def test_what_a_method_reads_is_known(kind, reads, monkeypatch):
    monkeypatch.setattr(Written, 'reads', reads)
    with pytest.raises(UserInputError, match=r'Written.reads = .* must be a tuple'):
        distilled(kind, methods=dict(written=dict(type='Written')))


@classifier
def test_parameters_ask_for_a_trained_method(kind):
    class Bare(Written):
        def __init__(self):
            super().__init__()
            self.fit = nn.Linear(1, 1)

    with pytest.raises(UserInputError, match='Bare has parameters .* TrainedMethod'):
        distilled(kind, methods=dict(bare=dict(type=Bare)))


@classifier
def test_an_argument_is_missing(kind):
    class Asks(Written):
        def __init__(self, layers, **kwargs):
            super().__init__(**kwargs)

    with pytest.raises(UserInputError, match="methods.asks: .*missing .*: 'layers'"):
        distilled(kind, methods=dict(asks=dict(type=Asks)))
    assert distilled(kind, methods=dict(asks=dict(type=Asks, layers=2, weight=3.0)))


@pytest.mark.parametrize('kind', ('two_stage',), indirect=True)
def test_a_name_that_the_student_has(kind):
    with pytest.raises(UserInputError, match="a FasterRCNN cannot .* name 'neck'"):
        distilled(kind, methods=dict(neck=dict(type='KDLoss')))


@classifier
@pytest.mark.parametrize(
    'name, returns, message',
    [
        # what the student's own loss is called
        ('cls', dict(loss=1.0), "'cls': .*loss_cls"),
        # what is logged of these would be added to what is trained
        ('written', dict(loss=1.0, loss_level=1.0), 'Written.losses returns loss, l'),
        ('written', dict(loss_level=1.0), 'Written.losses returns loss_level'),
    ],
)
def test_losses_that_cannot_be_added(kind, name, returns, message, monkeypatch):
    monkeypatch.setattr(Written, 'returns', returns)
    model = distilled(kind, methods={name: dict(type='Written')})
    with pytest.raises(UserInputError, match=message):
        losses_of(model, kind.batch())


@classifier
@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(methods={1: dict(type='KDLoss')}), 'name 1 '),
        (dict(methods=dict(distillation=dict(type='KDLoss'))), "name 'distillation'"),
        (dict(methods=dict(my_loss=dict(type='KDLoss'))), "name 'my_loss'"),
        (
            dict(review=dict(weight=1.0), methods=dict(review=dict(type='Review'))),
            'methods.review and review are two settings of one method',
        ),
        (
            dict(logits=dict(type='KDLoss'), methods=dict(logits=dict(type='DKDLoss'))),
            'methods.logits and logits are two settings of one method',
        ),
    ],
)
def test_names_that_cannot_be(kind, settings, message):
    with pytest.raises(UserInputError, match=message):
        distilled(kind, **settings)
