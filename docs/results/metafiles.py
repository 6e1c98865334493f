#!/usr/bin/env python
"""Write what the runs gave into the READMEs and metafiles of configs/.

In a README the last three cells of a config's row are written: teacher, student alone,
distilled. It needs the package, installed or by PYTHONPATH.
"""

import re
from pathlib import Path

from mmreviewkd.compat.saving import write_whole
from mmreviewkd.tables import read_table
from mmreviewkd.tables.summary import mean_score, summarize

HERE = Path(__file__).resolve().parent
CONFIGS = HERE.parents[1] / 'configs'
BLOOD_CELLS, CIRCUIT_BOARDS = 'Complete Blood Count', 'DeepPCB'
TWENTY_CLASSES = '"CIFAR-100, first 20 classes"'
# the names of metrics in a table, and in metafiles
DETECTION = {'AP': 'box AP', 'AP50': 'box AP50', 'AP75': 'box AP75'}
CLASSIFICATION = {'top-1': 'Top 1 Accuracy'}
# the folder of each table's configs, and the task, dataset and metrics of its results
TABLES = {
    'cbc-faster-rcnn': ('cbc', 'Object Detection', BLOOD_CELLS, DETECTION),
    'cbc-retinanet': ('cbc', 'Object Detection', BLOOD_CELLS, DETECTION),
    'deeppcb-faster-rcnn': ('deeppcb', 'Object Detection', CIRCUIT_BOARDS, DETECTION),
    # the runs that both have are described by the second
    'ablation': ('cifar20', 'Image Classification', TWENTY_CLASSES, CLASSIFICATION),
    'cifar20': ('cifar20', 'Image Classification', TWENTY_CLASSES, CLASSIFICATION),
}


def metafile(text, table, task, dataset, metrics):
    """The text of a metafile with the results of a table in it."""
    rows = {row.config: row for row in (table.first[0], *table.rows)}
    blocks = re.split(r'(?=\n  - Name: )', text)
    for i, block in enumerate(blocks):
        config = re.search(r'\n    Config: (.+)', block)
        if not config or config[1] not in rows:
            continue
        run = summarize(table, rows[config[1]])
        lines = ['    Results: []  # not all seeds are run']
        # a model's results are its last entry
        block = block[: block.index('\n    Results:')]
        block = re.sub(r'\n      Seeds: \d+', '', block)
        if run.complete:
            seeds = rf'\1\n      Seeds: {len(run.scores)}'
            block = re.sub(r'(\n      Epochs: \d+)', seeds, block)
            lines = [
                '    Results:',
                f'      - Task: {task}',
                f'        Dataset: {dataset}',
                '        Metrics:',
            ]
            lines += [
                f'          {theirs}: {mean_score(run, table.metrics[ours]):.1f}'
                for ours, theirs in metrics.items()
            ]
        blocks[i] = '\n'.join([block, *lines, ''])
    return ''.join(blocks)


def readme(text, table):
    """The text of a README with the results of a table in it."""

    def mean(row):
        run = summarize(table, row)
        key = next(iter(table.metrics.values()))
        return f'{mean_score(run, key):.1f}' if run.complete else 'not run'

    alone, *methods = table.rows
    for row in methods:
        means = ' | '.join(mean(each) for each in (table.first[0], alone, row))
        first = re.escape(f'| `{Path(row.config).stem}` |')
        line = rf'(?m)^({first}.*\|)[^|\n]*\|[^|\n]*\|[^|\n]*\|$'
        text = re.sub(line, rf'\1 {means} |', text)
    return text


def main():
    for name, (folder, *result) in TABLES.items():
        table = read_table(str(HERE / name))
        path = CONFIGS / folder / 'metafile.yml'
        text = metafile(path.read_text(encoding='utf-8'), table, *result)
        write_whole(str(path), text)
        path = CONFIGS / folder / 'README.md'
        write_whole(str(path), readme(path.read_text(encoding='utf-8'), table))


if __name__ == '__main__':
    main()
