"""The report of a table: Markdown, made from what is kept of its runs."""

from __future__ import annotations

import os.path as osp
import re
import statistics
from collections.abc import Sequence
from typing import Any

from ..errors import UserInputError
from ..visualization import markdown_table
from .plot import plot_gains, plot_sweep
from .summary import (
    Summary,
    deviation,
    gain,
    mean_score,
    score,
    slowdown,
    summarize,
)
from .table import Table, read_table

PLOT = 'gain.svg'


def report_table(folder: str, page: str | None = None) -> str:
    """Make the report of a table, and write it into a page.

    Args:
        folder (str): Folder with ``table.yml`` and what is kept of the runs. The plot
            is written there, if there is a page.
        page (str, optional): Markdown file with a line ``<!-- NAME -->``, of the name
            of the folder, and a line ``<!-- / -->``. What is between them is replaced.

    Returns:
        str: The report, as Markdown.

    Raises:
        UserInputError: A file cannot be used, or the runs have different teachers.
    """
    table = read_table(folder)
    before = _read_page(page, table.name) if page else None
    # only the teacher of what is trained before has a score
    teacher = [summarize(table, row) for row in table.first[:1]]
    rows = [summarize(table, row) for row in table.rows]
    _check_teachers(table, rows)
    parts = [markdown_table(_cells(table, [*teacher, *rows], rows[0]))]
    parts += _notes(table, rows)
    if page and before:
        plot = osp.join(folder, PLOT)
        sweep = {each.row.weight: each.scores for each in rows if each.row.weight}
        gains = {
            each.row.title: (slowdown(each, rows[0]), gain(each.scores, rows[0].scores))
            for each in rows[1:]
            if each.complete and rows[0].complete
        }
        shown = ''
        if sweep and any(sweep.values()):
            others = {e.row.title: e.scores for e in rows if not e.row.weight}
            plot_sweep(sweep, others, plot, next(iter(table.metrics)))
            shown = 'Score against the weight'
        elif gains:
            plot_gains(gains, plot, next(iter(table.metrics)))
            shown = 'Gain against the time of a step'
        if shown:
            link = osp.relpath(plot, osp.dirname(page) or '.').replace(osp.sep, '/')
            parts.insert(1, f'![{shown}]({link})')
        text = '\n\n'.join(parts)
        with open(page, 'w', encoding='utf-8') as file:
            # Markdown wants empty lines around comments
            file.write(f'{before[0]}\n{text}\n{before[1]}')
    return '\n\n'.join(parts)


def _read_page(page: str, name: str) -> tuple[str, str]:
    """Return what stands before and after the report in a page."""
    if not osp.isfile(page):
        raise UserInputError(f'--page {page}: no such file')
    with open(page, encoding='utf-8') as file:
        text = file.read()
    begin, end = f'<!-- {name} -->\n', '\n<!-- / -->'
    found = re.search(f'{re.escape(begin)}.*?{re.escape(end)}', text, re.DOTALL)
    if not found:
        raise UserInputError(
            f'{page} has no line {begin.strip()} with a line {end.strip()} after it; '
            f'the table {name} is written between them'
        )
    return text[: found.start()] + begin, end + text[found.end() :]


def _check_teachers(table: Table, rows: Sequence[Summary]) -> None:
    """Refuse rows that have learned from different teachers."""
    first: dict[str, str] = {}
    for each in rows:
        for seed, run in each.runs.items():
            teacher = run.content.get('teacher')
            if teacher:
                first.setdefault(teacher['sha256'], f'{each.row.name}_{seed}.json')
    if len(first) > 1:
        raise UserInputError(
            f'{table.folder}: runs have different teachers: {", ".join(first.values())}'
        )


def _cells(
    table: Table, summaries: Sequence[Summary], alone: Summary
) -> list[dict[str, Any]]:
    """Return the rows of the Markdown table; the keys are its header."""
    name, *others = table.metrics
    key = table.metrics[name]
    digits = 1 if 'AP' in key else 2
    lines = []
    for each in summaries:
        is_row = each.row in table.rows
        line = {name: each.row.title}
        for seed in table.seeds:
            line[f'seed {seed}'] = _seed(each, key, seed, digits) if is_row else ''
        whole = each.complete
        compared = whole and is_row and alone.complete
        line['mean'] = _number(mean_score(each, key) if whole else None, digits)
        line['deviation'] = _number(deviation(each.scores) if whole else None, digits)
        line['to alone (95 %)'] = (
            _gain(each, alone, digits) if compared and each is not alone else ''
        )
        for other in others:
            value = mean_score(each, table.metrics[other]) if whole else None
            line[other] = _number(value, digits)
        line['time'] = f'{slowdown(each, alone):.2f}' if compared else ''
        line['memory'] = _memory(each) if whole and is_row else ''
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


def _gain(summary: Summary, alone: Summary, digits: int) -> str:
    mean, margin = gain(summary.scores, alone.scores)
    if margin is None:
        return f'{mean:+.{digits}f}'
    return f'{mean:+.{digits}f} ± {margin:.{digits}f}'


def _memory(summary: Summary) -> str:
    return f'{statistics.mean(run.memory for run in summary.runs.values()):.0f} MB'


def _notes(table: Table, rows: Sequence[Summary]) -> list[str]:
    """Return what has to be known of the runs, one paragraph each."""
    runs = [
        (f'{each.row.title}, seed {seed}', run)
        for each in rows
        for seed, run in each.runs.items()
    ]
    if not runs:
        return []
    contents = [run.content for _, run in runs]
    versions = [content['versions'] for content in contents]
    facts = {
        'commit': _all(c[:10] for each in contents for c in each['commits']),
        'machine': _all(each['machine'] for each in contents),
        'torch': _all(each['torch'] for each in versions),
        'mmdet': _all(each['mmdet'] for each in versions),
        'mmcv': _all(each['mmcv'] for each in versions),
    }
    total = len(rows) * len(table.seeds)
    paragraphs = [
        f'{len(runs)} of {total} runs; '
        + '; '.join(f'{name} {value}' for name, value in facts.items() if value)
        + '. Time: of a step, relative to that of the student alone.'
    ]
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
