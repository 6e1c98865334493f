"""The config and the method of docs/methods.md, as they stand there."""

import re
import sys
from pathlib import Path

from mmreviewkd.methods import Method
from mmreviewkd.models import Distilled, teacher

import pytest
import torch
from mmdet.registry import HOOKS, MODELS
from mmengine.config import Config

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / 'docs' / 'methods.md').read_text(encoding='utf-8')


@pytest.fixture
def config(tmp_path, monkeypatch):
    """The first block, and the second as the file that it imports."""
    settings, method = re.findall(r'```python\n(.*?)```', TEXT, re.DOTALL)
    (tmp_path / 'config.py').write_text(settings)
    (tmp_path / 'distance.py').write_text(method)
    monkeypatch.syspath_prepend(tmp_path)
    # its weights come out of the teacher's own run
    monkeypatch.setattr(teacher, 'load_strictly', lambda *_: None)
    yield Config.fromfile(tmp_path / 'config.py')
    del MODELS.module_dict['Distance'], sys.modules['distance']


def test_its_method_is_trained(config):
    model = MODELS.build(config.model)
    assert isinstance(model, Distilled)
    assert model.distillation.methods == ['kd', 'distance', 'review']
    for hook in config.custom_hooks:
        built = HOOKS.build(hook)
        assert set(built.methods) <= set(model.distillation.methods)
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    data = dict(inputs=images, data_samples=torch.arange(2))
    losses = model(**model.data_preprocessor(data, True), mode='loss')
    assert set(losses) == {
        'loss_cls',
        'loss_kd',
        *('loss_distance', 'distance_deepest'),
        'loss_review',
        *(f'review_level{i}' for i in range(4)),
    }
    model.parse_losses(losses)[0].backward()
    assert all(p.grad.abs().sum() > 0 for p in model.distance.parameters())
    assert {key for key in model.state_dict() if key.startswith('distance.')} == {
        'distance._extra_state',
        *(f'distance.fit.{i}.{each}' for i in range(4) for each in ('weight', 'bias')),
    }
    config.model.review = None
    assert MODELS.build(config.model).distillation.methods == ['kd', 'distance']


def test_its_table_has_every_method():
    ours = {
        name
        for name, kind in MODELS.module_dict.items()
        if kind.__module__.startswith('mmreviewkd.methods')
    }
    assert all(issubclass(MODELS.get(name), Method) for name in ours)
    rows = re.findall(r'^\| [^|]+ \| `(\w+)`[^|]* \| ([^|]+) \|', TEXT, re.MULTILINE)
    assert {name for name, _ in rows} == ours and len(rows) == len(ours)
    for name, reads in rows:
        assert all(each in reads for each in MODELS.get(name).reads), name


def test_links():
    for path in re.findall(r'\]\((\.[^)]+)\)', TEXT):
        assert (ROOT / 'docs' / path).exists(), path
