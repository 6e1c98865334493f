"""The methods for levels of detectors, all at once, in whole models."""

from mmreviewkd.errors import UserInputError
from mmreviewkd.methods.published import PUBLISHED
from mmreviewkd.models.export import export_student
from tests.support.batches import batch
from tests.support.students import losses_of

import pytest
import torch
from mmdet.registry import MODELS

NAMES = ('mimic', 'pkd', 'cwd', 'mgd', 'fgd')
detectors = pytest.mark.parametrize('kind', ('two_stage', 'one_stage'), indirect=True)
classifier = pytest.mark.parametrize('kind', ('classifier',), indirect=True)


def distilled(kind, *names, **settings):
    config = kind.config()
    del config['review']
    two_stage = kind.name == 'two_stage'
    methods = {name: dict(PUBLISHED[name][two_stage]) for name in names or NAMES}
    torch.manual_seed(1)
    return MODELS.build(dict(config, methods=methods, **settings))


@detectors
def test_a_step(kind):
    model = distilled(kind)
    losses = losses_of(model, kind.batch())
    assert [name for name in losses if name.removeprefix('loss_') in NAMES] == [
        f'loss_{name}' for name in NAMES
    ]
    assert all(losses[f'loss_{name}'] > 0 for name in NAMES)
    terms = 'foreground', 'background', 'attention', 'relation'
    torch.testing.assert_close(
        losses['loss_fgd'], sum(losses[f'fgd_{term}'] for term in terms)
    )
    model.parse_losses(losses)[0].backward()
    for name in NAMES:
        parameters = list(getattr(model, name).parameters())
        assert all(p.grad is not None and p.grad.isfinite().all() for p in parameters)
        assert any(p.grad.abs().sum() > 0 for p in parameters)
    assert all(p.grad is None for p in model.distillation.teacher.parameters())


@detectors
def test_an_image_without_boxes(kind):
    losses = losses_of(distilled(kind), batch(num_items=[0, 3]))
    assert all(losses[f'loss_{name}'].isfinite() for name in NAMES)
    losses = losses_of(distilled(kind, 'fgd'), batch(num_items=[0, 0]))
    assert losses['fgd_foreground'] == 0 < losses['fgd_background']


@detectors
def test_an_exported_student_has_none_of_it(kind, tmp_path):
    model = distilled(kind)
    own = set(kind.plain().state_dict())
    state = model.state_dict()
    assert {key.split('.')[0] for key in set(state) - own} == set(NAMES)
    torch.save(dict(state_dict=state, meta={}), tmp_path / 'epoch_1.pth')
    export_student(str(tmp_path / 'epoch_1.pth'), str(tmp_path / 'student.pth'))
    exported = torch.load(tmp_path / 'student.pth', weights_only=True)['state_dict']
    assert set(exported) == own


@classifier
def test_classifiers(kind):
    # whose data tell no boxes
    with pytest.raises(UserInputError) as error:
        distilled(kind, 'fgd')
    assert str(error.value) == (
        "methods.fgd=dict(type='FGD') reads boxes, which the data of a classifier do "
        'not tell'
    )
    losses = losses_of(distilled(kind, 'mimic', 'pkd', 'cwd', 'mgd'), kind.batch())
    assert all(losses[f'loss_{name}'] > 0 for name in NAMES[:4])
