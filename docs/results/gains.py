#!/usr/bin/env python
"""Write what the runs gave into README.md and pages of docs/.

It needs the package, installed or by PYTHONPATH.
"""

import statistics
from pathlib import Path

from mmreviewkd.tables import gain, read_table
from mmreviewkd.tables.markdown import markdown_table
from mmreviewkd.tables.page import find_place
from mmreviewkd.tables.report import PLOT
from mmreviewkd.tables.steps import read_steps
from mmreviewkd.tables.summary import summarize

HERE = Path(__file__).resolve().parent
DOCS = HERE.parent
# what README.md and docs/index.md show of Review-KD
RESULTS = {
    'deeppcb-faster-rcnn': 'circuit boards, 1000 scans, Faster R-CNN: AP',
    'cbc-faster-rcnn': 'blood cells, 300 photos, Faster R-CNN: AP',
    'cbc-retinanet': 'blood cells, 300 photos, RetinaNet: AP',
    'cifar20': 'CIFAR-100, 20 classes, ResNet20-ResNet8: top-1',
}
# what docs/speed.md shows of a faster step
FASTER = {'deeppcb-speed': 'circuit boards, AP', 'cbc-speed': 'blood cells, AP'}
# the tables of each kind of model; time and memory are those of the first
TASKS = {
    'classifiers': {'cifar20': 'CIFAR-100, 20 classes, top-1'},
    'detectors': {
        'cbc-faster-rcnn': 'blood cells, Faster R-CNN, AP',
        'cbc-retinanet': 'blood cells, RetinaNet, AP',
        'deeppcb-faster-rcnn': 'circuit boards, Faster R-CNN, AP',
    },
}
# what each part of Review-KD adds: the row with it, and the row without
PARTS = {
    'review': ('pairs', 'alone'),
    'residual': ('sum', 'pairs'),
    'ABF, without HCL': ('abf', 'sum'),
    'HCL, without ABF': ('sum-hcl', 'sum'),
    'ABF, beside HCL': ('review-kd', 'sum-hcl'),
    'HCL, beside ABF': ('review-kd', 'abf'),
}


def difference(run, other):
    """What a row gained over another, seed by seed."""
    if run.complete and other.complete:
        return gain(run.scores, other.scores).text(1)
    return 'not run'


def together(tables, name):
    """A row of several tables, each seed of each of them a run of its own."""
    found = [summarize(table, table.chosen([name])[0]) for table in tables]
    scores = {
        (number, seed): score
        for number, each in enumerate(found)
        for seed, score in each.scores.items()
    }
    complete = all(each.complete for each in found)
    return found[0]._replace(complete=complete, scores=scores)


def gains(tables, first=0):
    """What the rows after the first gained over it, by their titles."""
    alone, *others = [together(tables, row.name) for row in tables[0].rows[first:]]
    return {each.row.title: difference(each, alone) for each in others}


def faster(titles):
    """The Markdown table of what a faster step costs, to Review-KD as it is."""
    columns = {
        # the student alone is before Review-KD
        title: gains([read_table(str(HERE / name))], first=1)
        for name, title in titles.items()
    }
    rows = next(iter(columns.values()))
    return markdown_table(
        [
            {'': row, **{title: gained[row] for title, gained in columns.items()}}
            for row in rows
        ]
    )


def parts(folder):
    """The Markdown table of what each part of Review-KD adds, seed by seed."""
    table = read_table(str(folder))
    runs = {row.name: summarize(table, row) for row in table.rows}
    return markdown_table(
        [
            {'': part, 'adds (95 %)': difference(runs[name], runs[without])}
            for part, (name, without) in PARTS.items()
        ]
    )


def results(titles):
    """The Markdown table of Review-KD, one row for each table."""
    rows = []
    for name, title in titles.items():
        table = read_table(str(HERE / name))
        (review,) = (row for row in table.rows if row.name == 'review-kd')
        columns = {
            'teacher': summarize(table, table.first[0]),
            'student alone': summarize(table, table.rows[0]),
            'distilled': summarize(table, review),
        }
        line = {
            column: f'{statistics.mean(each.scores.values()):.1f}'
            if each.complete
            else 'not run'
            for column, each in columns.items()
        }
        gained = gains([table])[review.title]
        rows.append({'': title, **line, 'gain (95 %)': gained})
    return markdown_table(rows)


def report(titles):
    """The Markdown table of one kind of model, one row for each method, and plots."""
    tables = [read_table(str(HERE / name)) for name in titles]
    columns = {title: gains([table]) for title, table in zip(titles.values(), tables)}
    if len(tables) > 1:
        columns['together'] = gains(tables)
    costs = read_steps(tables[0]).costs
    rows = []
    for row in tables[0].rows[1:]:
        line = {name: gained[row.title] for name, gained in columns.items()}
        time, memory = (
            (f'{x:.2f}' for x in costs[row.name])
            if row.name in costs
            else ('not run',) * 2
        )
        rows.append({'': row.title, **line, 'time': time, 'memory': memory})
    plots = [
        f'![Gain against the time of a step: {title}](results/{name}/{PLOT})'
        for name, title in titles.items()
        if (HERE / name / PLOT).is_file()
    ]
    return '\n\n'.join([markdown_table(rows), *plots])


def main():
    for page in (DOCS.parent / 'README.md', DOCS / 'index.md'):
        find_place(str(page), 'results').write(results(RESULTS))
    classifiers = {'cifar20': RESULTS['cifar20']}
    find_place(str(DOCS / 'classification.md'), 'results').write(results(classifiers))
    find_place(str(DOCS / 'speed.md'), 'faster').write(faster(FASTER))
    find_place(str(HERE / 'tables.md'), 'parts').write(parts(HERE / 'ablation'))
    for name, titles in TASKS.items():
        find_place(str(DOCS / 'methods.md'), name).write(report(titles))


if __name__ == '__main__':
    main()
