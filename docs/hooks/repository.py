"""What the site shows from outside of docs/, so that each thing is written once.

- The README of a folder of configs is the page zoo/FOLDER.md.
- ``<!-- configs -->`` becomes a table of all configs, read from metafile.yml.
- ``<!-- commands -->`` becomes the help of each command.
- A link to a file of the repository leads to a copy of that file.
"""

import contextlib
import io
import os
import posixpath
import re
import sys
from pathlib import Path
from unittest.mock import patch

import yaml
from mkdocs.structure.files import File

ROOT = Path(__file__).parents[2]
LINK = re.compile(r'(?<=\]\()(?!\w+:)([^)#\s]+)(?=[)#])')
ROLE = re.compile(r':(?:class|meth|func|attr|mod):<code>~?')


def on_files(files, config):
    for readme in sorted(ROOT.glob('configs/*/README.md')):
        uri = f'zoo/{readme.parent.name}.md'
        text = readme.read_text(encoding='utf-8')
        files.append(File.generated(config, uri, content=text))
    for page in files.documentation_pages():
        for link in LINK.findall(page.content_string):
            path = _in_repository(page.src_uri, link)
            uri, source = _in_site(path), ROOT / path
            copied = not uri.startswith('files/') or uri in files.src_uris
            if not copied and source.is_file():
                files.append(File.generated(config, uri, abs_src_path=str(source)))
    return files


def on_page_markdown(markdown, page, config, files):
    here = page.file.src_uri

    def link(match):
        uri = _in_site(_in_repository(here, match[0]))
        return posixpath.relpath(uri, posixpath.dirname(here) or '.')

    markdown = LINK.sub(link, markdown)
    if '<!-- configs -->' in markdown:
        markdown = markdown.replace('<!-- configs -->', _configs())
    if '<!-- commands -->' in markdown:
        markdown = markdown.replace('<!-- commands -->', _commands())
    return markdown


def on_page_content(html, page, config, files):
    return ROLE.sub('<code>', html)


def _in_repository(page, link):
    """Where a link of a page leads to in the repository."""
    # zoo/FOLDER.md is the README of configs/FOLDER
    readme = re.fullmatch(r'zoo/(\w+)\.md', page)
    folder = f'configs/{readme[1]}' if readme else f'docs/{posixpath.dirname(page)}'
    return posixpath.normpath(f'{folder}/{link}')


def _in_site(path):
    """Where a file of the repository is in the site."""
    if path.startswith('docs/'):
        return path[len('docs/') :]
    folder = re.fullmatch(r'configs/(\w+)(/README\.md)?', path)
    return f'zoo/{folder[1]}.md' if folder else f'files/{path}.txt'


def _configs():
    parts = []
    for file in sorted(ROOT.glob('configs/*/metafile.yml')):
        folder = file.parent.name
        parts += [
            f'### [{folder}](zoo/{folder}.md)\n\n<div class="configs" markdown>\n',
            '| config | result | teacher | weight |',
            '|---|---|---|---|',
        ]
        content = yaml.safe_load(file.read_text(encoding='utf-8'))
        parts += [_row(model) for model in content['Models']]
        parts.append('\n</div>\n')
    return '\n'.join(parts)


def _row(model):
    about = model['Metadata']
    teacher = f'`{Path(about["Teacher"]).stem}`' if 'Teacher' in about else ''
    results = [
        f'{name} {value}'
        for result in model.get('Results') or ()
        for name, value in result['Metrics'].items()
    ] or ['not run']
    results += [
        f'{name.replace("Published", "published")} {value}'
        for name, value in about.items()
        if name.startswith('Published')
    ]
    weight = about.get('Review weight', '')
    return f'| `{model["Name"]}` | {", ".join(results)} | {teacher} | {weight} |'


def _commands():
    sys.path.insert(0, str(ROOT))
    from mmreviewkd.commands import COMMANDS, run

    parts = []
    for name in COMMANDS:
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
            with patch.dict(os.environ, COLUMNS='88', NO_COLOR='1'):
                run(name, ['--help'], prog=f'mmreviewkd {name}')
        parts.append(f'## mmreviewkd {name}\n\n```text\n{out.getvalue()}```\n')
    return '\n'.join(parts)
