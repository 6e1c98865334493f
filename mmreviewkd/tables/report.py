"""The report of a table: Markdown, made from what is kept of its runs."""

from __future__ import annotations

import math
import os.path as osp
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import UserInputError
from .command import short
from .markdown import markdown_table
from .page import find_place
from .steps import Steps, read_steps
from .summary import (
    Summary,
    deviation,
    gain,
    gradient_curves,
    mean_score,
    score,
    summarize,
)
from .sweep import against_best, divergence
from .table import Table, read_table

PLOT = 'gain.svg'
GRADIENTS = 'gradients.svg'
# lines of one plot that can be told apart
_LINES = 8


def report_table(folder: str, page: str | None = None) -> str:
    """Make the report of a table, and write it into a page.

    Args:
        folder (str): Folder with ``table.yml`` and what is kept of the runs. Plots
            are written there, if there is a page.
        page (str, optional): Markdown file with a line ``<!-- NAME -->``, of the name
            of the folder, and a line ``<!-- / -->``. What is between them is replaced.

    Returns:
        str: The report, as Markdown.

    Raises:
        UserInputError: A file cannot be used, or the runs have different teachers.
    """
    table = read_table(folder)
    place = find_place(page, table.name) if page else None
    # of what is trained before, a head for the teacher has no score
    before = [summarize(table, row) for row in table.first]
    teachers = [each for each in before if each.scores or each is before[0]]
    rows = [summarize(table, row) for row in table.rows]
    _check_teachers(table, rows)
    steps = read_steps(table)
    by_name = {each.row.name: each for each in rows}
    alone = {row.name: by_name[row.alone or table.rows[0].name] for row in table.rows}
    parts = [markdown_table(_cells(table, teachers, rows, alone, steps))]
    parts += _notes(table, before, rows, steps)
    parts += divergence(rows, alone)
    parts += against_best(rows, _digits(table))
    if place:
        start = osp.relpath(folder, osp.dirname(place.page) or '.')
        parts[1:1] = [
            f'![{title}]({osp.join(start, plot).replace(osp.sep, "/")})'
            for plot, title in _draw(table, rows, alone, steps).items()
        ]
        place.write('\n\n'.join(parts))
    return '\n\n'.join(parts)


def _check_teachers(table: Table, rows: Sequence[Summary]) -> None:
    """Refuse rows of different teachers, unless their options name them."""
    same = {sha256: each.name for each in table.first for sha256 in each.sha256}
    files: dict[tuple[str, ...], dict[str, str]] = {}
    for each in rows:
        own = [text for text in each.row.options if text.startswith('model.teacher.')]
        for seed, run in each.runs.items():
            teacher = run.content.get('teacher')
            if teacher:
                found = files.setdefault(tuple(own), {})
                weights = same.get(teacher['sha256'], teacher['sha256'])
                found.setdefault(weights, f'{each.row.name}_{seed}.json')
    for found in files.values():
        if len(found) > 1:
            raise UserInputError(
                f'{table.folder}: runs have different teachers: '
                f'{", ".join(found.values())}'
            )


def _draw(
    table: Table, rows: Sequence[Summary], alone: Mapping[str, Summary], steps: Steps
) -> dict[str, str]:
    """Draw what there is to draw of a table; return the titles by file name."""
    from .plot import plot_gains, plot_sweep  # matplotlib, where something is drawn

    score, plot = next(iter(table.metrics)), osp.join(table.folder, PLOT)
    sweep = {each.row.weight: each.scores for each in rows if each.row.weight}
    if any(sweep.values()):
        lines = {e.row.title: e.scores for e in rows if not e.row.weight}
        plot_sweep(sweep, lines, plot, score)
        return {PLOT: 'Score against the weight', **_draw_gradients(table, rows)}
    gains = {
        each.row.title: (
            steps.costs[each.row.name].time,
            gain(each.scores, alone[each.row.name].scores),
        )
        for each in rows
        if _compared(each, alone[each.row.name]) and each.row.name in steps.costs
    }
    if not gains:
        return {}
    plot_gains(gains, plot, score)
    return {PLOT: 'Gain against the time of a step'}


def _draw_gradients(table: Table, rows: Sequence[Summary]) -> dict[str, str]:
    """Draw the gradients of a table of weights, of the first run of each row."""
    from .plot import plot_gradients

    curves = {
        each.row.name: gradient_curves(next(iter(each.runs.values())))
        for each in rows
        if each.runs
    }
    known = [
        each.row
        for each in rows
        if not all(map(math.isnan, curves.get(each.row.name, {}).get('', {}).values()))
    ]
    if not known:
        return {}
    weights = sorted(each.row.weight for each in rows if each.row.weight)
    published = weights[len(weights) // 2]
    # the published weight, where it was run, and those that are no number are shown
    first = sorted(known, key=lambda row: (row.weight != published, bool(row.weight)))
    plot_gradients(
        {
            row.title: (row.weight, curves[row.name][''])
            for row in known
            if row in first[:_LINES]
        },
        {level: curve for level, curve in curves[first[0].name].items() if level},
        f'each level, {first[0].title}',
        osp.join(table.folder, GRADIENTS),
    )
    title = "The review's gradient relative to the student's own loss's"
    return {GRADIENTS: title}


def _digits(table: Table) -> int:
    return 1 if 'AP' in next(iter(table.metrics.values())) else 2


def _compared(each: Summary, alone: Summary) -> bool:
    return each is not alone and each.complete and alone.complete


def _cells(
    table: Table,
    teachers: Sequence[Summary],
    rows: Sequence[Summary],
    alone: Mapping[str, Summary],
    steps: Steps,
) -> list[dict[str, Any]]:
    """Return the rows of the Markdown table; the keys are its header."""
    name, *others = table.metrics
    key = table.metrics[name]
    digits = _digits(table)
    lines = []
    kinds = [False] * len(teachers) + [True] * len(rows)
    for is_row, each in zip(kinds, [*teachers, *rows]):
        line = {name: each.row.title}
        for seed in table.seeds:
            is_run = is_row and seed in table.seeds_of(each.row)
            line[f'seed {seed}'] = _seed(each, key, seed, digits) if is_run else ''
        whole = each.complete
        line['mean'] = _number(mean_score(each, key) if whole else None, digits)
        line['deviation'] = _number(deviation(each.scores) if whole else None, digits)
        line['to alone (95 %)'] = ''
        if is_row and _compared(each, alone[each.row.name]):
            gained = gain(each.scores, alone[each.row.name].scores)
            line['to alone (95 %)'] = gained.text(digits)
        for other in others:
            value = mean_score(each, table.metrics[other]) if whole else None
            line[other] = _number(value, digits)
        if steps.costs:
            cost = steps.costs.get(each.row.name) if is_row else None
            line['time'] = f'{cost.time:.2f}' if cost else ''
            line['memory'] = f'{cost.memory:.2f}' if cost else ''
        lines.append(line)
    return lines


def _seed(summary: Summary, key: str, seed: int, digits: int) -> str:
    run = summary.runs.get(seed)
    if run is None:
        return 'not run'
    value = score(run, key)
    text = '-' if value is None else f'{value:.{digits}f}'
    return f'{text}†' if run.stopped else text


def _number(value: float | None, digits: int) -> str:
    return '' if value is None else f'{value:.{digits}f}'


def _notes(
    table: Table, before: Sequence[Summary], rows: Sequence[Summary], steps: Steps
) -> list[str]:
    """Return what has to be known of the runs, one paragraph each."""
    runs = [
        (f'{each.row.title}, seed {seed}', run)
        for each in rows
        for seed, run in each.runs.items()
    ]
    if not runs:
        return []
    contents = [run.content for each in [*before, *rows] for run in each.runs.values()]
    versions = [content['versions'] for content in contents]
    facts = {
        'commit': _all(short(c) for each in contents for c in each['commits']),
        'machine': _all(each['machine'] for each in contents),
        'torch': _all(each['torch'] for each in versions),
        'mmdet': _all(each['mmdet'] for each in versions),
        'mmcv': _all(each['mmcv'] for each in versions),
    }
    total = sum(len(table.seeds_of(each.row)) for each in rows)
    paragraphs = [
        f'{len(runs)} of {total} runs; '
        + '; '.join(f'{name} {value}' for name, value in facts.items() if value)
        + '.'
    ]
    if steps.costs:
        paragraphs.append(
            'Time and peak memory: of a step, relative to the student alone '
            f'({steps.setting}).'
        )
    for name, run in runs:
        if run.stopped:
            epochs = run.content['validation']['epoch']
            last = f'epoch {epochs[-1]}' if epochs else 'none'
            paragraphs.append(
                f'† {name} was stopped: {run.stopped}. Last epoch with a score: {last}.'
            )
    return paragraphs


def _all(values: Any) -> str:
    return ', '.join(dict.fromkeys(values))
