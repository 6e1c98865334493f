"""The figures in configs' READMEs and metafiles are those of the tables."""

import runpy
from pathlib import Path

from mmreviewkd.tables import read_table
from mmreviewkd.tables.summary import mean_score, summarize
from tests.support.markdown import read_table as read_markdown
from tests.support.paths import ROOT
from tests.support.tables import write_record, write_table

import pytest
import yaml

DETECTORS = {'AP': 'box AP', 'AP50': 'box AP50', 'AP75': 'box AP75'}
CLASSIFIERS = {'top-1': 'Top 1 Accuracy'}


@pytest.mark.parametrize(
    ('folder', 'name', 'metrics', 'count'),
    [
        ('cbc', 'cbc-faster-rcnn', DETECTORS, 6),
        ('cbc', 'cbc-retinanet', DETECTORS, 6),
        ('deeppcb', 'deeppcb-faster-rcnn', DETECTORS, 6),
        ('cifar20', 'cifar20', CLASSIFIERS, 19),
        ('cifar20', 'ablation', CLASSIFIERS, 5),
    ],
)
def test_figures(folder, name, metrics, count):
    table = read_table(str(ROOT / 'docs' / 'results' / name))
    folder = ROOT / 'configs' / folder
    meta = yaml.safe_load((folder / 'metafile.yml').read_text(encoding='utf-8'))
    listed = {model['Name']: model for model in meta['Models']}
    readme = read_markdown((folder / 'README.md').read_text(encoding='utf-8'))

    def mean(row):
        summary = summarize(table, row)
        if not summary.complete:
            return 'not run'
        return f'{mean_score(summary, table.metrics[next(iter(metrics))]):.1f}'

    teacher, (alone, *methods) = table.first[0], table.rows
    assert len(methods) == count
    # runs that two tables share are described by the other one
    shared = [row for row in table.rows if f'/{name}/' not in row.work_dir]
    for row in (teacher, alone, *methods):
        if row in shared:
            continue
        config = Path(row.config).stem
        if row in methods:
            means = [mean(each) for each in (teacher, alone, row)]
            assert readme[f'`{config}`'][-3:] == means
        summary = summarize(table, row)
        if not summary.complete:
            assert listed[config]['Results'] == []
            continue
        (result,) = listed[config]['Results']
        assert result['Metrics'] == {
            theirs: round(mean_score(summary, table.metrics[ours]), 1)
            for ours, theirs in metrics.items()
        }
        assert listed[config]['Metadata']['Seeds'] == len(summary.scores)


METAFILE = """
Models:
  - Name: kd
    Config: kd.py
    Metadata:
      Epochs: 12
      Seeds: 1
      KD weight: 1.0
    Results:
      - Task: Object Detection
        Metrics:
          box AP: 1.0

  - Name: pkd
    Config: pkd.py
    Metadata:
      Epochs: 12
    Results: []  # not run

  - Name: of another table
    Config: other.py
    Results: []  # not run
"""
README = """
| config | weight | teacher | student alone | distilled |
|---|---|---|---|---|
| `kd` | 1.0 | | | |
| `pkd` | 6.0 | 1 | 2 | 3 |
| `kd_of_another_table` | 1.0 | 1 | 2 | 3 |
"""


def test_the_script_writes_them(tmp_path):
    script = runpy.run_path(str(ROOT / 'docs/results/metafiles.py'), run_name='script')
    folder = write_table(tmp_path / 'mine')
    write_record(folder, 'teacher', 0, 60.0, teacher=None)
    for seed in range(3):
        write_record(folder, 'alone', seed, 50.0 + seed, teacher=None)
        write_record(folder, 'kd', seed, 53.0)
    # a seed is missing
    write_record(folder, 'pkd', 0, 54.0)
    table = read_table(str(folder))
    result = ('Object Detection', 'Boards', {'AP': 'box AP'})
    text = script['metafile'](METAFILE, table, *result)
    kd, pkd, other = yaml.safe_load(text)['Models']
    assert kd['Metadata'] == {'Epochs': 12, 'Seeds': 3, 'KD weight': 1.0}
    (results,) = kd['Results']
    assert results['Dataset'] == 'Boards' and results['Metrics'] == {'box AP': 53.0}
    assert pkd['Results'] == [] and 'not all seeds are run' in text
    assert other == {'Name': 'of another table', 'Config': 'other.py', 'Results': []}
    assert script['metafile'](text, table, *result) == text
    lines = script['readme'](README, table).splitlines()
    assert lines[3:] == [
        '| `kd` | 1.0 | 60.0 | 51.0 | 53.0 |',
        '| `pkd` | 6.0 | 60.0 | 51.0 | not run |',
        '| `kd_of_another_table` | 1.0 | 1 | 2 | 3 |',
    ]
