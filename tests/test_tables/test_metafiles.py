"""The figures of methods in configs' READMEs and metafiles are those of the tables."""

from mmreviewkd.tables import read_table
from mmreviewkd.tables.summary import mean_score, summarize
from tests.support.markdown import read_table as read_markdown
from tests.support.paths import ROOT

import pytest
import yaml

METRICS = {'AP': 'box AP', 'AP50': 'box AP50', 'AP75': 'box AP75'}


@pytest.mark.parametrize('detector', ['faster-rcnn', 'retinanet'])
def test_blood_cells(detector):
    table = read_table(str(ROOT / 'docs' / 'results' / f'cbc-{detector}'))
    folder = ROOT / 'configs' / 'cbc'
    meta = yaml.safe_load((folder / 'metafile.yml').read_text(encoding='utf-8'))
    listed = {model['Name']: model for model in meta['Models']}
    readme = read_markdown((folder / 'README.md').read_text(encoding='utf-8'))

    def ap(row):
        score = mean_score(summarize(table, row), table.metrics['AP'])
        return f'{score:.1f}'

    teacher, alone = ap(table.first[0]), ap(table.rows[0])
    # the first row is the student alone; the page of Review-KD has other runs
    methods = [row for row in table.rows[1:] if row.name != 'review-kd']
    assert len(methods) == 5
    for row in methods:
        name = f'{row.name}_{detector}_r18-w16_r18-w8_fpn_12e_cbc'
        assert readme[f'`{name}`'][1:] == [teacher, alone, ap(row)]
        (result,) = listed[name]['Results']
        means = {
            theirs: round(mean_score(summarize(table, row), table.metrics[ours]), 1)
            for ours, theirs in METRICS.items()
        }
        assert result['Metrics'] == means
        assert listed[name]['Metadata']['Seeds'] == len(table.seeds)
