"""The notebook runs as it stands, and shows what its text speaks of."""

import base64
import os
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PATH = ROOT / 'docs' / 'notebooks' / 'distil_your_detector.ipynb'


def read():
    return pytest.importorskip('nbformat').read(PATH, as_version=4)


def test_it_is_small_and_names_no_place_of_this_machine():
    text = PATH.read_text(encoding='utf-8')
    assert len(text) < 300_000
    for place in ('/home/', '/root', '/tmp', 'file:'):
        assert place not in text


def test_pages_that_it_names_are_there():
    text = '\n'.join(c.source for c in read().cells if c.cell_type == 'markdown')
    links = re.findall(r'\]\(([^)#]+)\)', text)
    assert links
    for link in links:
        assert (PATH.parent / link).is_file(), link


@pytest.mark.slow
def test_runs_from_the_first_cell_to_the_last(tmp_path, monkeypatch):
    nbclient = pytest.importorskip('nbclient')
    pytest.importorskip('ipykernel')
    monkeypatch.setenv('PYTHONPATH', str(ROOT))
    monkeypatch.setenv('PYTHONWARNINGS', 'ignore')
    notebook = read()
    client = nbclient.NotebookClient(
        notebook, timeout=900, resources=dict(metadata=dict(path=str(tmp_path)))
    )
    client.execute()
    outputs = [each for c in notebook.cells for each in c.get('outputs', [])]
    printed = ''.join(each.text for each in outputs if each.output_type == 'stream')
    assert 'error: ' not in printed and 'Traceback' not in printed
    # a command that fails does not stop a notebook, and its files do
    folder = tmp_path / 'distilled_shapes'
    for name in ('large', 'alone', 'distilled'):
        assert (folder / name / 'epoch_4.pth').is_file()
    assert (folder / 'student.pth').stat().st_size < 2e6

    shown = [each.data for each in outputs if 'data' in each]
    figures = [
        base64.b64decode(data['image/png']) for data in shown if 'image/png' in data
    ]
    # the data, the curves, two comparisons, the review, the exported student
    assert len(figures) == 6 and min(map(len, figures)) > 10_000
    (table,) = [data['text/markdown'] for data in shown if 'text/markdown' in data]
    header, _, *rows = [line for line in table.splitlines() if line.startswith('|')]
    columns = [each.strip() for each in header.strip('|').split('|')]
    assert columns == ['', 'teacher', 'student alone', 'distilled student']
    (scores,) = [row for row in rows if row.startswith('| AP  ')]
    # it has learned something
    assert float(scores.split('|')[2]) > 5
    # to look at the pictures: NOTEBOOK_FIGURES=FOLDER
    if 'NOTEBOOK_FIGURES' in os.environ:
        for number, each in enumerate(figures):
            Path(os.environ['NOTEBOOK_FIGURES'], f'{number}.png').write_bytes(each)
        Path(os.environ['NOTEBOOK_FIGURES'], 'printed.txt').write_text(printed)
