"""Gain of each row against what it costs, and what the weight of the review does."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

import matplotlib
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import (
    FixedLocator,
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullLocator,
)

from .summary import Gain

Curve = Mapping[int, float]
"""Values by epoch; nan is a gap."""

# text stays text, and names in the file do not change from one time to the next
_SVG = {'svg.fonttype': 'none', 'svg.hashsalt': 'mmreviewkd'}
_LINE = 13  # points from one label to the next


def plot_gains(
    gains: Mapping[str, tuple[float, Gain]], out_file: str, score: str
) -> None:
    """Plot gains, with their intervals, against the relative time of a step.

    Args:
        gains (Mapping[str, tuple[float, Gain]]): Time and gain by the name to show.
        out_file (str): File to write, ``.svg`` or ``.png``.
        score (str): Name of the score.
    """
    figure = Figure(figsize=(9, 5.5), layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.axhline(0, color='black', linewidth=0.8)
    axes.grid(alpha=0.3)
    axes.set_xscale('log')
    for number, (time, (mean, margin)) in enumerate(gains.values()):
        color = f'C{number % 10}'
        axes.errorbar(time, mean, margin, fmt='none', ecolor=color, alpha=0.35)
        axes.plot(time, mean, 'o', color=color, markersize=5)
    # one step alone takes 1; to the right there is room for names
    times = [time for time, _ in gains.values()]
    axes.set_xlim(min(0.95, *times) * 0.97, max(1.5, *times) * 1.5)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:g}'))
    axes.set(
        xlabel='time of a step, relative to the student alone',
        ylabel=f'{score} above the student alone, with 95 % interval',
    )
    figure.canvas.draw()
    _write_names(axes, gains)
    save_plot(figure, out_file)


def plot_sweep(
    sweep: Mapping[float, Mapping[int, float]],
    others: Mapping[str, Mapping[int, float]],
    out_file: str,
    score: str,
) -> None:
    """Plot scores against the weight of the review: each run, and the means as a line.

    Args:
        sweep (Mapping[float, Mapping[int, float]]): Scores by seed, by the weight.
        others (Mapping[str, Mapping[int, float]]): Scores of rows without a number as
            weight, by seed, by the name to show; their means are lines across.
        out_file (str): File to write, ``.svg`` or ``.png``.
        score (str): Name of the score.
    """
    figure = Figure(figsize=(9, 5), layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.grid(alpha=0.3)
    axes.set_xscale('log')
    known = {weight: scores for weight, scores in sweep.items() if scores}
    for weight, scores in known.items():
        axes.plot([weight] * len(scores), list(scores.values()), '.', color='C0')
    means = [statistics.mean(scores.values()) for scores in known.values()]
    axes.plot(list(known), means, color='C0', label='weight as a number')
    for number, (name, scores) in enumerate(others.items(), 1):
        if scores:
            mean = statistics.mean(scores.values())
            axes.axhline(mean, color=f'C{number}', linestyle='--', label=name)
    axes.xaxis.set_major_locator(FixedLocator(list(sweep)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:g}'))
    axes.set(xlabel='weight of the review', ylabel=score)
    axes.legend(frameon=False)
    save_plot(figure, out_file)


def plot_gradients(
    rows: Mapping[str, tuple[float | None, Curve]],
    levels: Mapping[str, Curve],
    title: str,
    out_file: str,
) -> None:
    """Plot how the gradient of the review, relative to the student's own, develops.

    Args:
        rows (Mapping[str, tuple[float | None, Curve]]): Weight, None if it is no
            number, and ratio of all levels in a run, by the name to show.
        levels (Mapping[str, Curve]): Ratio at each level in one run, by its name.
        title (str): Which run that is.
        out_file (str): File to write, ``.svg`` or ``.png``.
    """
    figure = Figure(figsize=(9, 5), layout='constrained')
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    numbers = sorted(weight for weight, _ in rows.values() if weight)
    others = 0
    for name, (weight, curve) in rows.items():
        if weight:
            shade = (numbers.index(weight) + 0.5) / len(numbers)
            style = dict(color=colormaps['viridis_r'](shade), linestyle='-')
        else:
            others += 1
            style = dict(color=f'C{others}', linestyle='--')
        left.plot(list(curve), list(curve.values()), marker='.', label=name, **style)
    for name, curve in levels.items():
        right.plot(list(curve), list(curve.values()), '.-', label=name)
    left.set(title='all levels', ylabel="review's gradient / student's own")
    right.set(title=title)
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.axhline(1, color='black', linewidth=0.8)
        axes.set_yscale('log')
        axes.set(xlabel='epoch')
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        below = dict(loc='upper center', bbox_to_anchor=(0.5, -0.15))
        axes.legend(frameon=False, fontsize=8, ncol=3, **below)
    save_plot(figure, out_file)


def save_plot(figure: Figure, out_file: str) -> None:
    """Write a plot; the same figures give the same file.

    Args:
        figure (Figure): The plot.
        out_file (str): File to write, ``.svg`` or ``.png``.
    """
    with matplotlib.rc_context(_SVG):
        figure.savefig(
            out_file, metadata=dict(Date=None) if out_file.endswith('.svg') else None
        )


def _write_names(axes: Any, gains: Mapping[str, tuple[float, Gain]]) -> None:
    """Write each name right of its point, or as near above or below as it is free."""
    scale = axes.figure.dpi / 72
    points = [
        axes.transData.transform((time, mean)) / scale
        for time, (mean, _) in gains.values()
    ]
    # left, right, height in points: names hide no dot, nor one another
    placed = [(x - 4, x + 4, y) for x, y in points]

    def free(left: float, right: float, height: float) -> bool:
        return not any(
            left < end and right > begin and abs(height - other) < _LINE
            for begin, end, other in placed
        )

    # from below, so that lines to points do not cross
    for number, (name, (time, (mean, _))) in sorted(
        enumerate(gains.items()), key=lambda item: item[1][1][1].mean
    ):
        x, y = points[number]
        left, right = x + 12, x + 12 + 6 * len(name)
        offsets = (sign * step for step in range(500) for sign in (1, -1))
        offset = next(each for each in offsets if free(left, right, y + each))
        placed.append((left, right, y + offset))
        axes.annotate(
            name,
            (time, mean),
            (12, offset),
            textcoords='offset points',
            fontsize=9,
            color=f'C{number % 10}',
            verticalalignment='center',
            # intervals pass behind names
            bbox=dict(facecolor='white', edgecolor='none', pad=0.5, alpha=0.8),
            arrowprops=dict(arrowstyle='-', linewidth=0.5, alpha=0.5, relpos=(0, 0.5)),
        )
