"""The configs of CRD's benchmark: its schedule, and the published settings."""

import copy
import functools
import re

from mmreviewkd.models import teacher
from tests.support.paths import ROOT

import pytest
import torch
import yaml
from mmdet.registry import MODELS
from mmengine.config import Config

FOLDER = ROOT / 'configs' / 'cifar100'
load = functools.lru_cache(maxsize=None)(Config.fromfile)
PAIRS = ('resnet56_resnet20', 'resnet32x4_resnet8x4')

KD = dict(kd=dict(type='KDLoss', weight=0.9, temperature=4.0))
CRD = dict(crd=dict(type='CRD', weight=0.8, num_samples=50000))
METHODS = {
    'at': dict(at=dict(type='AttentionTransfer', weight=1000.0)),
    'cc': dict(cc=dict(type='CC', weight=0.02)),
    'correlation-congruence': dict(
        correlation=dict(type='CorrelationCongruence', weight=0.003), **KD
    ),
    'crd': CRD,
    'crd-kd': dict(kd=dict(KD['kd'], weight=1.0), **CRD),
    'dist': dict(dist=dict(type='DIST', weight=2.0, temperature=4.0)),
    'dkd': dict(dkd=dict(type='DKDLoss', weight=1.0, alpha=1.0, beta=8.0)),
    'fitnet': dict(fitnet=dict(type='FitNet', weight=100.0)),
    'kd': KD,
    'lskd': dict(kd=dict(type='KDLoss', weight=9.0, temperature=2.0, standardize=True)),
    'lskd-dkd': dict(
        dkd=dict(
            type='DKDLoss',
            weight=9.0,
            alpha=1.0,
            beta=8.0,
            temperature=2.0,
            standardize=True,
        )
    ),
    'ofd': dict(ofd=dict(type='OFD', weight=0.001)),
    'pkt': dict(pkt=dict(type='PKT', weight=30000.0)),
    'rkd': dict(rkd=dict(type='RKD', weight=1.0)),
    'sp': dict(sp=dict(type='SimilarityPreserving', weight=3000.0)),
    'sskd': dict(sskd=dict(type='SSKD', weight=1.0)),
    'vid': dict(vid=dict(type='VID', weight=1.0)),
}


def test_every_config_of_a_pair_is_here():
    for pair in PAIRS:
        found = {path.name.split('_')[0] for path in FOLDER.glob(f'*_{pair}.py')}
        assert found - {'review-kd'} == set(METHODS)


def test_every_one_is_listed():
    readme = (FOLDER / 'README.md').read_text(encoding='utf-8')
    meta = yaml.safe_load((FOLDER / 'metafile.yml').read_text(encoding='utf-8'))
    listed = {model['Name']: model['Metadata'] for model in meta['Models']}
    for name in METHODS:
        assert f'| `{name}_` |' in readme
        for pair in PAIRS:
            student = f'configs/cifar100/{pair.split("_")[1]}.py'
            assert listed[f'{name}_{pair}']['Student'] == student


@pytest.mark.parametrize('pair', PAIRS)
@pytest.mark.parametrize('name', METHODS)
def test_published_settings_of_the_benchmark(name, pair):
    cfg = Config.fromfile(FOLDER / f'{name}_{pair}.py')
    expected = copy.deepcopy(METHODS[name])
    if (name, pair) == ('dkd', 'resnet56_resnet20'):
        expected['dkd']['beta'] = 2.0
    if (name, pair) == ('lskd-dkd', 'resnet56_resnet20'):
        expected['dkd'].update(weight=18.0, beta=2.0, temperature=3.0)
    teacher, student = pair.split('_')
    if name == 'sskd':
        head = f'work_dirs/sskd-head_{teacher}/epoch_60.pth'
        expected['sskd']['teacher_head'] = head
    assert cfg.model.methods == expected
    before = dict(levels='before', batch_statistics=True)
    recorded = before if name == 'ofd' else dict(levels='after')
    assert cfg.model.teacher == dict(
        config=f'mmreviewkd::cifar100/{teacher}.py',
        checkpoint=f'work_dirs/{teacher}/epoch_240.pth',
        **recorded,
    )
    assert len((FOLDER / f'{name}_{pair}.py').read_text().splitlines()) <= 12
    # the student alone has the same schedule, and differs from Review-KD's in it only
    alone = load(FOLDER / 'benchmark' / f'{student}.py')
    expected_student = copy.deepcopy(dict(alone.model))
    if ('kd' in expected and name != 'crd-kd') or name == 'sskd':
        expected_student['loss_weight'] = 0.1
    if name == 'ofd':
        expected_student['levels'] = 'before'
    if name == 'sskd':
        expected_student['data_preprocessor']['rotations'] = True
    assert cfg.model.student == expected_student
    hooks = [dict(type='ReviewWeightHook', warmup=20)] if 'dkd' in expected else []
    assert cfg.get('custom_hooks', []) == hooks
    assert cfg.optim_wrapper.optimizer == dict(
        type='SGD', lr=0.05, momentum=0.9, weight_decay=5e-4, nesterov=False
    )
    assert cfg.train_dataloader.batch_size == cfg.auto_scale_lr.base_batch_size == 64
    other = load(FOLDER / f'{student}.py')
    schedule = {'optim_wrapper', 'train_dataloader', 'auto_scale_lr'}
    for key in set(other) - {'model', 'custom_hooks'}:
        assert cfg[key] == alone[key], key
        assert (alone[key] == other[key]) == (key not in schedule), key
    assert alone.model == other.model


@pytest.mark.parametrize('name', ['at', 'kd'])
def test_another_pair(name, tmp_path, monkeypatch):
    """The config that the README shows, of that method and of one that reads logits."""
    # the teacher's weights come out of its own run
    monkeypatch.setattr(teacher, 'load_strictly', lambda *_: None)
    readme = (FOLDER / 'README.md').read_text(encoding='utf-8')
    (text,) = re.findall(r'```python\n(.*?)```', readme, re.DOTALL)
    assert '::cifar100/at_' in text
    (tmp_path / 'mine.py').write_text(text.replace('/at_', f'/{name}_'))
    cfg = Config.fromfile(tmp_path / 'mine.py')
    base = load(FOLDER / f'{name}_resnet56_resnet20.py')
    student = dict(load(FOLDER / 'wrn-16-2.py').model)
    if name == 'kd':
        student['loss_weight'] = 0.1
    assert cfg.model == dict(
        type='ReviewKD',
        student=student,
        teacher=dict(
            config='mmreviewkd::cifar100/wrn-40-2.py',
            checkpoint='work_dirs/wrn-40-2/epoch_240.pth',
            levels='after',
        ),
        methods=METHODS[name],
    )
    assert all(cfg[key] == base[key] for key in set(base) - {'model'})
    model = MODELS.build(cfg.model)
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    data = dict(inputs=images, data_samples=torch.arange(2))
    losses = model(**model.data_preprocessor(data, True), mode='loss')
    assert set(losses) == {'loss_cls', f'loss_{name}'}
