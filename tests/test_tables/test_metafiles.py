"""The figures in configs' READMEs and metafiles are those of the tables."""

from pathlib import Path

from mmreviewkd.tables import read_table
from mmreviewkd.tables.summary import mean_score, summarize
from tests.support.markdown import read_table as read_markdown
from tests.support.paths import ROOT

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
    for row in (teacher, alone, *methods):
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
