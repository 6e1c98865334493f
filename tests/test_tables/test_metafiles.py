"""The figures in configs' READMEs and metafiles are those of the tables."""

from pathlib import Path

from mmreviewkd.tables import read_table
from mmreviewkd.tables.summary import mean_score, summarize
from tests.support.markdown import read_table as read_markdown
from tests.support.paths import ROOT

import pytest
import yaml

METRICS = {'AP': 'box AP', 'AP50': 'box AP50', 'AP75': 'box AP75'}


@pytest.mark.parametrize(
    ('folder', 'name'),
    [
        ('cbc', 'cbc-faster-rcnn'),
        ('cbc', 'cbc-retinanet'),
        ('deeppcb', 'deeppcb-faster-rcnn'),
    ],
)
def test_detectors(folder, name):
    table = read_table(str(ROOT / 'docs' / 'results' / name))
    folder = ROOT / 'configs' / folder
    meta = yaml.safe_load((folder / 'metafile.yml').read_text(encoding='utf-8'))
    listed = {model['Name']: model for model in meta['Models']}
    readme = read_markdown((folder / 'README.md').read_text(encoding='utf-8'))

    def ap(row):
        summary = summarize(table, row)
        if not summary.complete:
            return 'not run'
        return f'{mean_score(summary, table.metrics["AP"]):.1f}'

    teacher, (alone, *methods) = table.first[0], table.rows
    assert len(methods) == 6
    for row in (teacher, alone, *methods):
        config = Path(row.config).stem
        if row in methods:
            assert readme[f'`{config}`'][1:] == [ap(teacher), ap(alone), ap(row)]
        summary = summarize(table, row)
        if not summary.complete:
            assert listed[config]['Results'] == []
            continue
        (result,) = listed[config]['Results']
        assert result['Metrics'] == {
            theirs: round(mean_score(summary, table.metrics[ours]), 1)
            for ours, theirs in METRICS.items()
        }
        assert listed[config]['Metadata']['Seeds'] == len(summary.scores)
