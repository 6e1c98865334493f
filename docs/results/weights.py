#!/usr/bin/env python
"""Write what the weights gave on all tasks into docs/weights.md.

It needs the package, installed or by PYTHONPATH.
"""

import statistics
from pathlib import Path
from typing import NamedTuple

from mmreviewkd.tables import gain, read_table
from mmreviewkd.tables.markdown import markdown_table
from mmreviewkd.tables.page import find_place
from mmreviewkd.tables.plot import save_plot
from mmreviewkd.tables.summary import signed, summarize
from mmreviewkd.tables.sweep import best_weight

from matplotlib.figure import Figure

HERE = Path(__file__).resolve().parent


class Task(NamedTuple):
    """One of the five tasks, its curve, and 'auto' beside the published weight."""

    title: str
    curve: str
    published: float
    # where the published weight was run beside 'auto', if not in the table of the curve
    beside: str = ''


TASKS = [
    Task('CIFAR, deeper teacher, top-1', 'weights-cifar20', 0.6),
    Task('CIFAR, narrower student, top-1', 'weights-cifar20-half', 0.6),
    Task(
        'blood cells, Faster R-CNN, AP',
        'weights-cbc-faster-rcnn',
        1,
        'stable-cbc-faster-rcnn',
    ),
    Task(
        'blood cells, RetinaNet, AP',
        'weights-cbc-retinanet',
        1,
        'published-cbc-retinanet',
    ),
    Task('circuit boards, AP', 'weights-deeppcb', 1),
]


def read_rows(folder):
    """The rows of a table with their runs, by their names."""
    table = read_table(str(HERE / folder))
    return {row.name: summarize(table, row) for row in table.rows}


def read_curve(task):
    """The mean scores on the seeds that all weights have, by multiple; alone is 0."""
    alone, *rows = read_rows(task.curve).values()
    weights = [each for each in rows if each.row.weight]
    _, seeds = best_weight(weights)
    return {
        (each.row.weight or 0) / task.published: statistics.mean(
            each.scores[seed] for seed in seeds
        )
        for each in sorted([alone, *weights], key=lambda each: each.row.weight or 0)
    }


def to_published(task):
    """What the student alone and each weight give more than the published one."""
    curve = read_curve(task)
    return {
        f'{multiple:.2g} times' if multiple else 'alone': signed(mean - curve[1], 1)
        for multiple, mean in curve.items()
        if multiple != 1
    }


def difference(run, other):
    """What 'auto' gives more than a weight, seed by seed."""
    if run.complete and set(run.scores) <= set(other.scores):
        return gain(run.scores, other.scores).text(1)
    return 'not run'


def auto(task):
    """How 'auto' stands to the best and to the published weight.

    Its seeds are others than those of the curve, which choose the best.
    """
    rows = read_rows(task.curve)
    best, _ = best_weight(list(rows.values()))
    beside = read_rows(task.beside or task.curve)
    (published,) = (
        each
        for name, each in beside.items()
        if name == 'published' or each.row.weight == task.published
    )
    return {
        'to the best (95 %)': difference(rows['auto'], best),
        'to the published (95 %)': difference(beside['auto'], published),
    }


def plot(tasks, out_file):
    """Draw what each multiple of the published weight gains over the student alone."""
    figure = Figure(figsize=(9, 5), layout='constrained')
    axes = figure.subplots()
    axes.set_xscale('log')
    axes.grid(alpha=0.3)
    axes.axhline(0, color='black', linewidth=0.8)
    for task in tasks:
        curve = read_curve(task)
        alone = curve.pop(0)
        gains = [mean - alone for mean in curve.values()]
        axes.plot(list(curve), gains, '.-', label=task.title)
    axes.set_xticks(list(curve), [f'{multiple:.2g}' for multiple in curve])
    axes.minorticks_off()
    axes.set(
        xlabel='multiple of the published weight',
        ylabel='points above the student alone, mean of 2 seeds',
    )
    axes.legend(frameon=False)
    save_plot(figure, out_file)


def main():
    parts = {'curves': to_published, 'auto': auto}
    for name, part in parts.items():
        lines = [{'': task.title, **part(task)} for task in TASKS]
        find_place(str(HERE.parent / 'weights.md'), name).write(markdown_table(lines))
    plot(TASKS, str(HERE / 'weights.svg'))


if __name__ == '__main__':
    main()
