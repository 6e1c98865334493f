"""The site of ``make docs``: its pages, and what it takes from elsewhere."""

import importlib
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from mmreviewkd.commands import COMMANDS

import pytest
import yaml

ROOT = Path(__file__).parents[1]
DOCS = ROOT / 'docs'
PACKAGES = (
    'classification',
    'conversion',
    'engine',
    'methods',
    'models',
    'visualization',
)


def _pages(entries):
    for entry in entries:
        for page in entry.values() if isinstance(entry, dict) else [entry]:
            yield from [page] if isinstance(page, str) else _pages(page)


def test_every_page_is_in_the_navigation():
    config = yaml.safe_load((ROOT / 'mkdocs.yml').read_text(encoding='utf-8'))
    pages = {
        path.relative_to(DOCS).as_posix()
        for path in DOCS.rglob('*.md')
        if 'distilled_shapes' not in path.parts  # what the notebook writes
    }
    folders = {path.parent.name for path in ROOT.glob('configs/*/README.md')}
    listed = list(_pages(config['nav']))
    assert sorted(listed) == sorted(pages | {f'zoo/{name}.md' for name in folders})
    # each folder is linked from the table, too
    zoo = (DOCS / 'zoo.md').read_text(encoding='utf-8')
    assert set(re.findall(r'\(\.\./configs/(\w+)/README\.md\)', zoo)) == folders


@pytest.mark.parametrize('name', PACKAGES)
def test_the_api_has_every_public_name(name):
    package = importlib.import_module(f'mmreviewkd.{name}')
    page = (DOCS / 'api' / f'{name}.md').read_text(encoding='utf-8')
    entries = re.findall(r'^::: (\S+)$', page, re.MULTILINE)
    assert len(set(entries)) == len(entries)
    assert {f'mmreviewkd.{name}.{each}' for each in package.__all__} <= set(entries)


def test_links_out_of_the_pages_lead_to_files():
    for page in DOCS.rglob('*.md'):
        for link in re.findall(r'\]\((\.\./[^)#]+)', page.read_text(encoding='utf-8')):
            assert (page.parent / link).exists(), f'{page.name}: {link}'


@pytest.mark.slow
@pytest.mark.skipif(not find_spec('mkdocstrings'), reason='no MkDocs here')
def test_builds_strictly(tmp_path):
    done = subprocess.run(
        [sys.executable, '-m', 'mkdocs', 'build', '--strict', '-d', str(tmp_path)],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert done.returncode == 0, done.stdout
    page = {
        path.relative_to(tmp_path).with_suffix('').as_posix(): path.read_text('utf-8')
        for path in tmp_path.rglob('*.html')
    }
    # each README of configs, each config of metafile.yml, each command's help
    models = [
        model['Name']
        for file in ROOT.glob('configs/*/metafile.yml')
        for model in yaml.safe_load(file.read_text(encoding='utf-8'))['Models']
    ]
    assert models and all(f'<code>{name}</code>' in page['zoo'] for name in models)
    assert all(
        f'usage: mmreviewkd {name} ' in page['api/commands'] for name in COMMANDS
    )
    assert 'ReviewDKD' in page['zoo/coco']
    # links to files of the repository lead to copies of them
    source = tmp_path / 'files' / 'mmreviewkd' / 'methods' / 'at.py.txt'
    assert source.read_text() == (ROOT / 'mmreviewkd/methods/at.py').read_text()
    assert 'href="files/mmreviewkd/methods/at.py.txt"' in page['methods']
    assert 'href="zoo/pairs.html"' in page['families']
    # roles of Sphinx in docstrings are gone
    assert not any(':class:' in text for text in page.values())
