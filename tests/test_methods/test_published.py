"""Published settings, as the command, the docs and the configs have them."""

import re

from mmreviewkd.methods import Pair
from mmreviewkd.methods.published import FOR_CLASSIFIERS, PUBLISHED
from tests.support.paths import ROOT

import pytest
from mmdet.registry import MODELS
from mmengine.config import Config

PAIR = Pair(['stride 8'], [4], [4], [8])
TEXT = (ROOT / 'docs' / 'methods.md').read_text(encoding='utf-8')
ROWS = dict(re.findall(r'^\| `--method ([\w-]+)` \| (.*) \|$', TEXT, re.MULTILINE))


def settings_in(cell):
    return {key: float(value) for key, value in re.findall(r'(\w+) ([\d.e-]+)', cell)}


@pytest.mark.parametrize('name', PUBLISHED)
def test_builds(name):
    for settings in PUBLISHED[name][:2]:
        kind, given = MODELS.get(settings['type']), dict(settings)
        del given['type']
        method = kind.for_pair(PAIR, **given)
        assert method.weight == settings['weight']


def test_the_page_shows_them():
    assert list(ROWS) == list(PUBLISHED)
    for name, published in PUBLISHED.items():
        one_stage, two_stage, _, clip_grad, source = ROWS[name].split(' | ')
        for cell, settings in (
            (one_stage, published.one_stage),
            (two_stage, published.two_stage),
        ):
            numbers = {key: each for key, each in settings.items() if key != 'type'}
            assert settings_in(cell) == numbers, name
        assert clip_grad == str(published.clip_grad or '')
        assert source == (published.source or 'nobody; a weight to begin with')


def test_those_for_classifiers_are_all_that_have_a_config():
    configs = (ROOT / 'configs' / 'cifar100').glob('*_resnet56_resnet20.py')
    names = {path.name.partition('_')[0] for path in configs}
    assert set(FOR_CLASSIFIERS) == names - {*PUBLISHED, 'review-kd'}


@pytest.mark.parametrize(
    'path',
    sorted(
        path.relative_to(ROOT).as_posix()
        for folder in ('cbc', 'coco', 'deeppcb')
        for path in ROOT.glob(f'configs/{folder}/*.py')
        if path.name.partition('_')[0] in PUBLISHED
    ),
)
def test_configs_state_them(path):
    cfg = Config.fromfile(ROOT / path)
    ((name, settings),) = cfg.model.methods.items()
    assert path.split('/')[-1].startswith(f'{name}_')
    published = PUBLISHED[name]
    two_stage = 'roi_head' in cfg.model.student
    expected = published.two_stage if two_stage else published.one_stage
    assert settings == {
        key: value
        for key, value in expected.items()
        # what is left out, is as the method has it
        if key in settings or key in ('type', 'weight')
    }
