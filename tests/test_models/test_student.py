"""A distilled student is its own class's in all that a class decides."""

import copy
import os
import pickle
import subprocess
import sys
from pathlib import Path

from mmreviewkd.errors import UserInputError
from mmreviewkd.models import Distilled
from tests.support.students import (
    KINDS,
    Kind,
    assert_same,
    losses_of,
    own,
)

import pytest
import torch
from mmdet.models import FasterRCNN
from mmdet.registry import MODELS
from mmengine.model import BaseDataPreprocessor, ExponentialMovingAverage
from mmengine.runner import load_checkpoint
from mmengine.runner.checkpoint import get_state_dict


def derived(kind, mixin):
    """The class of a kind's student with a mixin before it."""
    return type(mixin.__name__, (mixin, MODELS.get(kind.student['type'])), {})


# ------------------------------------------------------------- what it is
def test_class_name_and_properties(kind):
    plain, model = kind.pair()
    assert isinstance(model, Distilled) and isinstance(model, type(plain))
    assert type(model).__name__ == type(plain).__name__ == kind.student['type']
    names = [
        name
        for name in dir(type(plain))
        if isinstance(getattr(type(plain), name), property)
    ]
    for name in names:
        assert getattr(model, name) == getattr(plain, name), name
    assert ('with_neck' in names) == (kind.name != 'classifier')
    more = {*vars(model), *model._modules} - {*vars(plain), *plain._modules}
    assert more == {'distillation', 'review'}
    assert [*model._modules] == [*plain._modules, 'review']


def test_one_preprocessor_each(kind, monkeypatch):
    built, init = [], BaseDataPreprocessor.__init__

    def counted(self, *args, **kwargs):
        built.append(self)
        init(self, *args, **kwargs)

    monkeypatch.setattr(BaseDataPreprocessor, '__init__', counted)
    model = kind.distilled()
    assert len(built) == 2 and built[0] is model.data_preprocessor


def test_names_that_are_taken(kind):
    class WithReview:
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.review = torch.nn.Identity()

    class WithDistillation:
        distillation = None

    for mixin, name in ((WithReview, 'review'), (WithDistillation, 'distillation')):
        with pytest.raises(UserInputError, match=f'{mixin.__name__} .*\\b{name}\\b'):
            kind.distilled(type=derived(kind, mixin))


# ------------------------------------------------------------- checkpoints
# parts of another model's checkpoint and the student's parts that they fill
FOREIGN = dict(
    two_stage=('bbox_head.', 'rpn_head.'),  # of an RPN, or another in one stage
    one_stage=('rpn_head.', 'bbox_head.'),
    rtmdet=('rpn_head.', 'bbox_head.'),
    detr=('module.', ''),
    classifier=('', 'backbone.'),  # of a bare network
)
FILLED = dict(two_stage=142, one_stage=144, rtmdet=440, detr=163, classifier=56)


def test_what_another_models_checkpoint_fills(kind, tmp_path):
    theirs, ours = FOREIGN[kind.name]
    weights = {
        theirs + key[len(ours) :] if key.startswith(ours) else key: value
        for key, value in kind.plain(seed=7).state_dict().items()
        if not key.startswith('roi_head.')
    }
    path = str(tmp_path / 'other.pth')
    torch.save(dict(state_dict=weights), path)
    before, data = kind.plain().state_dict(), kind.batch()
    losses, filled = [], []
    for model in kind.pair():
        state = {k: v for k, v in model.state_dict().items() if k in before}
        for value in state.values():
            value.fill_(-3)
        load_checkpoint(model, path)
        empty = [key for key, value in state.items() if (value == -3).all()]
        for key in empty:
            state[key].copy_(before[key])
        filled.append({k: v for k, v in state.items() if k not in empty})
        losses.append(own(losses_of(model, data)))
    assert len(filled[0]) == FILLED[kind.name]
    assert any(key.startswith(ours) for key in filled[0])
    assert_same(*filled)
    assert_same(*losses)


class Hooked:
    """Registers every hook of a state dict, and has a buffer that is not saved."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.called = []
        self.register_buffer('passing', torch.ones(1), persistent=False)
        self.register_buffer('saved', torch.ones(1))
        self.register_state_dict_pre_hook(self.hook('before saving'))
        self.register_state_dict_post_hook(self.hook('after saving'))
        self._register_state_dict_hook(self.rename)
        self.register_load_state_dict_pre_hook(self.hook('before loading'))
        self.register_load_state_dict_post_hook(self.hook('after loading'))

    def hook(self, name):
        return lambda module, *_: module.called.append(name)

    @staticmethod
    def rename(module, state, prefix, metadata):
        module.called.append('rename')
        state[f'{prefix}kept'] = state.pop(f'{prefix}saved')

    def _load_from_state_dict(self, state, prefix, *args):
        self.called.append('load')
        state[f'{prefix}saved'] = state.pop(f'{prefix}kept')
        super()._load_from_state_dict(state, prefix, *args)


def test_hooks_and_buffers_of_the_state_dict(kind, tmp_path):
    called, keys = [], []
    for model in kind.pair(type=derived(kind, Hooked)):
        model.saved += 1
        state, ours = copy.deepcopy([model.state_dict(), get_state_dict(model)])
        assert list(state) == list(ours)
        torch.save(dict(state_dict=ours), tmp_path / 'checkpoint.pth')
        model.saved -= 1
        model.load_state_dict(state)
        assert model.saved == 2
        model.saved -= 1
        load_checkpoint(model, str(tmp_path / 'checkpoint.pth'), strict=True)
        assert model.saved == 2
        called.append(model.called)
        keys.append([key for key in state if not key.startswith('review.')])
    assert called[0] == called[1]
    assert {*called[0]} == {
        *('before saving', 'after saving', 'rename'),
        *('before loading', 'load', 'after loading'),
    }
    assert keys[0] == keys[1]
    assert 'kept' in keys[0] and not {'passing', 'saved'} & {*keys[0]}


# ------------------------------------------------- what its class overrides
class Watched:
    """Overrides what the Runner calls; each changes what is seen from outside."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.called = []

    def state_dict(self, *args, **kwargs):
        self.called.append('state_dict')
        state = super().state_dict(*args, **kwargs)
        state['stamp'] = torch.tensor(5.0)
        return state

    def load_state_dict(self, state_dict, *args, **kwargs):
        self.called.append('load_state_dict')
        state_dict.pop('stamp')
        return super().load_state_dict(state_dict, *args, **kwargs)

    def to(self, *args, **kwargs):
        self.called.append('to')
        return super().to(*args, **kwargs)

    def named_parameters(self, *args, **kwargs):
        yield from reversed([*super().named_parameters(*args, **kwargs)])

    def parse_losses(self, losses):
        total, log = super().parse_losses(losses)
        return 3 * total, dict(log, loss=3 * total)

    def train(self, mode=True):
        super().train(mode)
        self.backbone.eval()
        return self

    def init_weights(self):
        super().init_weights()
        torch.nn.init.constant_(next(self.backbone.parameters()), 0.25)


def test_overrides_are_used(kind):
    plain, model = kind.pair(type=derived(kind, Watched))
    data = kind.batch()
    for each in (plain, model):
        assert each.state_dict()['stamp'] == 5
        each.load_state_dict(each.state_dict())
        assert each.to(torch.float32) is each
        each.train()
        assert each.training and not each.backbone.training
        torch.manual_seed(3)
        each.init_weights()
        assert (next(each.backbone.parameters()) == 0.25).all()
    assert plain.called == model.called
    assert {*plain.called} == {'state_dict', 'load_state_dict', 'to'}
    names = [name for name, _ in model.named_parameters()]
    assert names[-1] == 'backbone.conv1.weight' or kind.name == 'rtmdet'
    assert [name for name in names if not name.startswith('review.')] == [
        name for name, _ in plain.named_parameters()
    ]
    assert model.review.training
    losses, theirs = (losses_of(each, data) for each in (model, plain))
    assert_same(own(losses), theirs)
    torch.testing.assert_close(
        model.parse_losses(losses)[0],
        plain.parse_losses(theirs)[0] + 3 * losses['loss_review'],
    )


# ------------------------------------------------------------------ copies
def test_copies(kind):
    plain, model = kind.pair()
    data = kind.batch()
    averages = [ExponentialMovingAverage(each) for each in (plain, model)]
    copied = averages[1].module
    assert type(copied) is type(model) is type(copy.deepcopy(model))
    assert copied.distillation.teacher is model.distillation.teacher
    assert list(copied.state_dict()) == list(model.state_dict())
    # not to the last bit: a product of matrices may round by where they lie in memory
    copies = (copy.deepcopy(each) for each in (copied, model))
    torch.testing.assert_close(*(losses_of(each, data) for each in copies))
    assert not {id(p) for p in copied.parameters()} & {
        id(p) for p in model.parameters()
    }
    for average, each in zip(averages, (plain, model)):
        for parameter in each.parameters():
            parameter.data += 1
        for _ in range(2):
            average.update_parameters(each)
    theirs = averages[0].module.state_dict()
    ours = copied.state_dict()
    assert_same({key: ours[key] for key in theirs}, theirs)


class Caching:
    """Keeps what belongs into no copy."""

    cache = None

    def __getstate__(self):
        return {key: value for key, value in vars(self).items() if key != 'cache'}


def test_copies_are_made_as_the_class_says(kind):
    for model in kind.pair(type=derived(kind, Caching)):
        model.cache = [1]
        assert copy.deepcopy(model).cache is None


LOAD = """
import sys
import torch

for path in sys.argv[1:]:
    saved = torch.load(path, weights_only=False)
    model = saved['model']
    torch.manual_seed(2)
    data = model.data_preprocessor(saved['data'], True)
    losses = model(**data, mode='loss')
    torch.testing.assert_close(losses, saved['losses'], rtol=1e-6, atol=1e-6)
    print(type(model).__name__, [c.__name__ for c in type(model).__mro__][1:3])
"""


def test_saved_whole_for_a_process_that_imports_nothing(tmp_path_factory):
    folder = tmp_path_factory.mktemp('whole')
    paths = []
    for name in KINDS:
        kind = Kind(name, folder)
        model, data = kind.distilled(), kind.batch()
        losses = losses_of(copy.deepcopy(model), data)
        paths.append(str(folder / f'{name}.pt'))
        torch.save(dict(model=model, data=data, losses=losses), paths[-1])
    process = subprocess.run(
        [sys.executable, '-c', LOAD, *paths],
        env=dict(os.environ, PYTHONPATH=str(Path(__file__).parents[2])),
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert not process.returncode, process.stderr
    assert process.stdout.splitlines() == [
        f"{name} ['Distilled', '{name}']"
        for name in ('FasterRCNN', 'RetinaNet', 'RTMDet', 'DETR', 'ImageClassifier')
    ]


class Moved(FasterRCNN):
    """Its file is another one by the time that it is unpickled."""


def test_a_class_that_is_not_found(tmp_path, monkeypatch):
    kind = Kind('two_stage', tmp_path)
    saved = [pickle.dumps(model) for model in kind.pair(type=Moved)]
    monkeypatch.delattr(sys.modules[__name__], 'Moved')
    said = []
    for each in saved:
        with pytest.raises(AttributeError, match="Can't get attribute 'Moved' on") as e:
            pickle.loads(each)
        said.append(str(e.value))
    assert said[0] == said[1]
    for model in kind.pair(type=type('Inner', (FasterRCNN,), {})):
        with pytest.raises((AttributeError, pickle.PicklingError), match='Inner'):
            pickle.dumps(model)
