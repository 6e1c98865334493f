"""Docstrings: the examples run, and entries name what they describe."""

import ast
import doctest
import importlib
import inspect
import re
from pathlib import Path

import mmreviewkd
from mmreviewkd.methods import Pair
from mmreviewkd.models import ADAPTERS, settings

import pytest
import torch
from mmdet.registry import DATASETS, HOOKS, METRICS, MODELS
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope

ROOT = Path(mmreviewkd.__file__).parent
SOURCES = {
    '.'.join(path.relative_to(ROOT.parent).with_suffix('').parts): path.read_text(
        'utf-8'
    )
    for path in sorted(ROOT.rglob('*.py'))
}
FOLDERS = ('methods', 'models', 'engine', 'classification', 'visualization')
REGISTRIES = (MODELS, HOOKS, DATASETS, METRICS, ADAPTERS)
# beginnings that leave open what is meant
RIDDLES = ('As', 'It', 'Its', 'Likewise', 'Of', 'The same', 'They', 'Those', 'Whose')
ENTRY = re.compile(r'^\s*\**\w+ \(.*?\): (.*)$', re.MULTILINE)


def public_classes():
    """Classes that are exported, and all that can be built from a config."""
    found = [settings.TeacherSettings]
    for folder in FOLDERS:
        module = importlib.import_module(f'mmreviewkd.{folder}')
        found += filter(inspect.isclass, (getattr(module, n) for n in module.__all__))
    for registry in REGISTRIES:
        found += registry.module_dict.values()
    ours = {each for each in found if each.__module__.startswith('mmreviewkd.')}
    return sorted(ours, key=lambda each: each.__name__)


def docstrings(source):
    """Strings that document a module, class, function or variable."""
    for node in ast.walk(ast.parse(source)):
        value = (
            getattr(node.value, 'value', None) if isinstance(node, ast.Expr) else None
        )
        if isinstance(value, str):
            yield inspect.cleandoc(value)


def problems(text):
    """Openings of a docstring and its entries that need a second reading."""
    openings = [text, *ENTRY.findall(text)]
    return [
        opening[:60]
        for opening in openings
        if re.match(rf'({"|".join(RIDDLES)})\b', opening)
    ]


@pytest.mark.parametrize('public', public_classes(), ids=lambda each: each.__name__)
def test_public_class_has_an_example(public):
    assert '\nExamples:\n    >>> ' in inspect.getdoc(public)


@pytest.mark.parametrize('name', [n for n, text in SOURCES.items() if '>>> ' in text])
def test_examples_run(name, tmp_path, monkeypatch):
    MMLogger.get_current_instance()  # made here, it does not log into an example
    init_default_scope('mmdet')
    monkeypatch.chdir(tmp_path)  # examples write small files
    names = dict(
        torch=torch,
        Pair=Pair,
        MODELS=MODELS,
        HOOKS=HOOKS,
        DATASETS=DATASETS,
        METRICS=METRICS,
    )
    results = doctest.testmod(
        importlib.import_module(name.removesuffix('.__init__')),
        extraglobs=names,
        optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS,
    )
    assert results.attempted and not results.failed


def test_docstrings_name_what_they_describe():
    found = [
        f'{name}: {problem}'
        for name, source in SOURCES.items()
        for text in docstrings(source)
        for problem in problems(text)
    ]
    assert found == []


def test_riddles_are_found():
    assert problems('Of both losses; set by a hook')
    assert problems('Loss.\n\nArgs:\n    teacher (Teacher): It.') == ['It.']
    assert not problems('Loss.\n\nIt is a scalar.\n\n    a (int): Item. Of two.')
