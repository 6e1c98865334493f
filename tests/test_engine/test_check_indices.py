"""Data without the indices that a method reads are refused before training."""

from types import SimpleNamespace

from mmreviewkd.classification.datasets import TensorImages, as_is
from mmreviewkd.engine.check_indices import check_indices
from mmreviewkd.errors import UserInputError
from mmreviewkd.methods import Method
from tests.support.classifiers import classifier
from tests.support.commands import call, refused

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.dataset import default_collate
from mmengine.runner import Runner
from torch.utils.data import DataLoader


class Indexed(Method):
    reads = ('sample_idx',)


@pytest.fixture(autouse=True)
def method(monkeypatch):
    monkeypatch.setitem(MODELS.module_dict, 'Indexed', Indexed)


CONFIG = """
_base_ = './distil.py'
model = dict(review=None, methods=dict(indexed=dict(type='Indexed', weight=1.0)))
"""
# what packs the images is outside of their dataset
WRAPPED = """
coco = dict(_base_.train_dataloader.dataset)
*steps, pack = coco.pop('pipeline')
repeated = dict(type='RepeatDataset', times=1, dataset=dict(coco, pipeline=steps))
train_dataloader = dict(
    dataset=dict(
        _delete_=True, type='MultiImageMixDataset', dataset=repeated, pipeline=[pack]
    )
)
"""


@pytest.mark.parametrize(
    'wrapped, pack', [('', 3), (WRAPPED, 0)], ids=['plain', 'wrapped']
)
def test_detectors(project, monkeypatch, wrapped, pack):
    trained = []
    monkeypatch.setattr(Runner, 'train', lambda runner: trained.append(runner))
    config, work_dir = project / 'indexed.py', project / 'run'
    config.write_text(CONFIG + wrapped)
    flags = [config, '--work-dir', work_dir, '--cfg-options']
    assert refused('train', *flags, 'train_cfg.max_epochs=1') == (
        'a method reads sample_idx, the index of each image in its dataset; the data '
        "do not hand it on: name 'sample_idx' among the meta_keys of the training "
        "pipeline's PackDetInputs"
    )
    assert not trained and not list(work_dir.glob('**/*.pth'))
    keys = f'train_dataloader.dataset.pipeline.{pack}.meta_keys'
    assert call('train', *flags, f'{keys}=(img_shape,sample_idx)') is None
    assert len(trained) == 1
    # a loss that is never computed reads nothing
    assert call('train', *flags, 'model.methods.indexed.weight=0') is None


class Labelled:
    """Labels alone, and images that are made at random, as augmented ones are."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return dict(inputs=torch.rand(3, 32, 32), data_samples=index)


class Counted(Labelled):
    def __getitem__(self, index):
        samples = dict(gt_label=index, sample_idx=index)
        return dict(super().__getitem__(index), data_samples=samples)


class Pairs(Labelled):
    """In a form of their own, which the model's preprocessor may know."""

    def __getitem__(self, index):
        return tuple(super().__getitem__(index).values())


def check(tmp_path, dataset, collate=default_collate):
    """Check the run of a classifier that such a dataset trains."""
    torch.save(MODELS.build(classifier()).state_dict(), tmp_path / 'teacher.pth')
    model = MODELS.build(
        dict(
            type='ReviewKD',
            student=classifier(),
            teacher=dict(config=classifier(), checkpoint=f'{tmp_path}/teacher.pth'),
            methods=dict(indexed=dict(type='Indexed')),
        )
    )
    loop = SimpleNamespace(dataloader=DataLoader(dataset, 2, collate_fn=collate))
    state = torch.get_rng_state()
    try:
        check_indices(SimpleNamespace(model=model, train_loop=loop))
    finally:
        assert torch.get_rng_state().equal(state)


def test_classifiers(tmp_path):
    with pytest.raises(UserInputError, match='the data give labels alone. Let the dat'):
        check(tmp_path, Labelled())
    check(tmp_path, Counted())
    check(tmp_path, Pairs())
    images = np.zeros((4, 32, 32, 3), np.uint8)
    check(tmp_path, TensorImages(images, range(4), 'abcd', 'test'), as_is)


def test_a_model_that_is_built_later():
    check_indices(SimpleNamespace(model=dict(type='ReviewKD')))
