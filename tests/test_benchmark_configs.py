"""The configs of CRD's benchmark: its schedule, and the published settings."""

from tests.support.paths import ROOT

import pytest
from mmengine.config import Config

FOLDER = ROOT / 'configs' / 'cifar100'
PAIRS = ('resnet56_resnet20', 'resnet32x4_resnet8x4')

METHODS = dict(
    at=dict(at=dict(type='AttentionTransfer', weight=1000.0)),
    sp=dict(sp=dict(type='SimilarityPreserving', weight=3000.0)),
    fitnet=dict(fitnet=dict(type='FitNet', weight=100.0)),
)


def test_every_config_of_a_pair_is_here():
    for pair in PAIRS:
        found = {path.name.split('_')[0] for path in FOLDER.glob(f'*_{pair}.py')}
        assert found - {'review-kd'} == set(METHODS)


@pytest.mark.parametrize('pair', PAIRS)
@pytest.mark.parametrize('name', METHODS)
def test_settings(name, pair):
    cfg = Config.fromfile(FOLDER / f'{name}_{pair}.py')
    assert cfg.model.methods == METHODS[name]
    teacher, student = pair.split('_')
    assert cfg.model.teacher == dict(
        config=f'mmreviewkd::cifar100/{teacher}.py',
        checkpoint=f'work_dirs/{teacher}/epoch_240.pth',
        levels='after',
    )
    assert len((FOLDER / f'{name}_{pair}.py').read_text().splitlines()) <= 12
    # the student alone has the same schedule, and differs from Review-KD's in it only
    alone = Config.fromfile(FOLDER / 'benchmark' / f'{student}.py')
    assert cfg.model.student == alone.model
    assert cfg.optim_wrapper.optimizer == dict(
        type='SGD', lr=0.05, momentum=0.9, weight_decay=5e-4, nesterov=False
    )
    assert cfg.train_dataloader.batch_size == cfg.auto_scale_lr.base_batch_size == 64
    other = Config.fromfile(FOLDER / f'{student}.py')
    schedule = {'optim_wrapper', 'train_dataloader', 'auto_scale_lr'}
    for key in set(other) - {'model', 'custom_hooks'}:
        assert cfg[key] == alone[key], key
        assert (alone[key] == other[key]) == (key not in schedule), key
    assert alone.model == other.model
