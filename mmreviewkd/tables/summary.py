"""Mean, deviation and difference to the student alone, over the seeds of a row."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Mapping
from typing import NamedTuple

from ..errors import UserInputError
from .record import Record, read_record
from .table import Row, Table

# two-sided 95 % quantiles of Student's t by degrees of freedom, as in the
# NIST/SEMATECH e-Handbook of Statistical Methods, section 1.3.6.7.2
_T = dict(
    enumerate([12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262], 1)
)

# a run has diverged that ends this many points below the student alone
_LOST = 5.0


class Gain(NamedTuple):
    """Difference of a row to the student alone.

    Args:
        mean (float): Mean of the differences seed by seed.
        margin (float, optional): Half the width of the 95 % interval around it; None
            for a single seed.
    """

    mean: float
    margin: float | None

    def text(self, digits: int) -> str:
        """Return the mean with its interval, such as ``'+2.0 ± 2.5'``."""
        mean = signed(self.mean, digits)
        return mean if self.margin is None else f'{mean} ± {self.margin:.{digits}f}'


class Summary(NamedTuple):
    """A row of a table with what is kept of its runs.

    Args:
        row (Row): The row.
        runs (dict[int, Record]): What is kept of its runs, by seed.
        complete (bool): Whether the runs of all seeds are kept and have a score.
        scores (dict[int, float]): The score of each run that has one.
    """

    row: Row
    runs: dict[int, Record]
    complete: bool
    scores: dict[int, float]


def summarize(table: Table, row: Row) -> Summary:
    """Read what is kept of the runs of a row."""
    seeds = table.seeds_of(row)
    found = {seed: read_record(table.result(row, seed)) for seed in seeds}
    runs = {seed: record for seed, record in found.items() if record}
    key = next(iter(table.metrics.values()))
    values = {seed: score(run, key) for seed, run in runs.items()}
    scores = {seed: value for seed, value in values.items() if value is not None}
    return Summary(row, runs, len(scores) == len(seeds), scores)


def percent(metrics: Mapping[str, float], key: str) -> float | None:
    """Return a metric in percent; None if it is missing, or if it is -1 or nan.

    mmdet gives -1 or nan if there were no objects of the size or class.
    """
    value = metrics.get(key, math.nan)
    if math.isnan(value) or value == -1:
        return None
    # mmdet's metrics are from 0 to 1, accuracies already in percent
    return 100 * value if re.search('A[PR]|_precision', key) else value


def score(run: Record, key: str) -> float | None:
    """Return a metric of a run in percent, see :func:`percent`.

    It is 0 for a detector that detects nothing, of which mmdet logs no metric at all.
    """
    silent = all(math.isnan(value) for value in run.scores.values())
    if silent and run.content['validation']['epoch']:
        return 0.0
    return percent(run.scores, key)


def mean_score(summary: Summary, key: str) -> float | None:
    """Return the mean of a metric in percent, None if a run has none."""
    values = [score(run, key) for run in summary.runs.values()]
    known = [value for value in values if value is not None]
    return statistics.mean(known) if known and len(known) == len(values) else None


def deviation(values: Mapping[int, float]) -> float | None:
    """Return the standard deviation, with n - 1; None of a single value."""
    return statistics.stdev(values.values()) if len(values) > 1 else None


def gradient_curves(run: Record) -> dict[str, dict[int, float]]:
    """Return how strongly the review pulled, relative to the student's own loss.

    Args:
        run (Record): What is kept of a run with ``ReviewGradientHook``, or without.

    Returns:
        dict[str, dict[int, float]]: Mean of each epoch, nan if it is none or infinite,
        by the level, such as ``'stride8'``; the ratio of all levels is ``''``.
    """
    training, name = run.content['training'], 'review_gradient'
    return {
        key[len(name) + 1 :]: {
            epoch: math.nan if value is None else value
            for epoch, value in zip(training['epoch'], values)
        }
        for key, values in training.items()
        if key == name or key.startswith(f'{name}_')
    }


def diverged(summary: Summary, alone: Summary) -> list[bool]:
    """Tell of each run of a row whether it diverged.

    It did if a loss was not finite, which stops it, or if it ends far below the student
    alone of the same seed. Runs of which this is not known yet are left out.

    Args:
        summary (Summary): The row.
        alone (Summary): The row of the student alone.
    """
    return [
        bool(run.stopped) or summary.scores[seed] < alone.scores[seed] - _LOST
        for seed, run in summary.runs.items()
        if run.stopped or (seed in summary.scores and seed in alone.scores)
    ]


def signed(value: float, digits: int) -> str:
    """Return a number with its sign; what is rounded to nothing is ``'+0.0'``."""
    return f'{round(value, digits) + 0.0:+.{digits}f}'


def gain(values: Mapping[int, float], alone: Mapping[int, float]) -> Gain:
    """Compare the scores of a row with those of the student alone, seed by seed.

    Args:
        values (Mapping[int, float]): Scores by seed.
        alone (Mapping[int, float]): Scores of the student alone, of the same seeds.

    Raises:
        UserInputError: There are more seeds than quantiles are known for.

    Examples:
        >>> gain({0: 58.0, 1: 61.0, 2: 58.0}, {0: 57.0, 1: 58.0, 2: 56.0})
        Gain(mean=2.0, margin=2.48433...)
    """
    differences = {seed: value - alone[seed] for seed, value in values.items()}
    mean = statistics.mean(differences.values())
    spread = deviation(differences)
    if spread is None:
        return Gain(mean, None)
    if len(differences) - 1 not in _T:
        raise UserInputError(
            f'{len(differences)} seeds: intervals are known for {max(_T) + 1} at most'
        )
    t = _T[len(differences) - 1]
    return Gain(mean, t * spread / math.sqrt(len(differences)))
