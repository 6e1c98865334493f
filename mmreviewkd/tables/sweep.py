"""What is said below a table of weights: which runs diverged, and who comes near."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from .summary import Summary, diverged, gain


def divergence(rows: Sequence[Summary], alone: Mapping[str, Summary]) -> list[str]:
    """Say how many runs diverged, in a table of weights or of other settings.

    Args:
        rows (Sequence[Summary]): The rows of a table.
        alone (Mapping[str, Summary]): The row that each is compared with, by its name.

    Returns:
        list[str]: One sentence, none for a table that compares methods.
    """
    if not any(each.row.weight or each.row.alone for each in rows):
        return []
    students = {each.row.name for each in alone.values()}
    compared = [each for each in rows if each.row.name not in students]
    numbers, rest = (
        [
            run
            for each in compared
            if (each.row.weight is not None) == number
            for run in diverged(each, alone[each.row.name])
        ]
        for number in (True, False)
    )
    if numbers:
        text = f'Of {_count(numbers, "run")} with a number as weight, {_some(numbers)}'
        ending = f'; of {_count(rest, "other")}, {_some(rest)}' if rest else ''
        return [f'{text} diverged{ending}.']
    return [f'Of {_count(rest, "run")}, {_some(rest)} diverged.'] if rest else []


def best_weight(rows: Sequence[Summary]) -> tuple[Summary, set[int]] | None:
    """Find the weight with the highest mean over the seeds that all weights have.

    Args:
        rows (Sequence[Summary]): The rows of a table.

    Returns:
        tuple[Summary, set[int]] | None: Its row, of equal ones the one of the smallest
        weight, and these seeds; None if there is no weight, or no such seed.
    """
    weights = [each for each in rows if each.row.weight]
    if not weights:
        return None
    chosen_by = set.intersection(*(set(_scores(each)) for each in weights))
    if not chosen_by:
        return None

    def quality(each: Summary) -> tuple[float, float]:
        mean = statistics.mean(_scores(each)[seed] for seed in chosen_by)
        return mean, -(each.row.weight or 0.0)

    return max(weights, key=quality), chosen_by


def against_best(rows: Sequence[Summary], digits: int) -> list[str]:
    """Compare rows without a weight with the best weight, on seeds that did not choose.

    Other weights with the further seeds, such as the published one, are named after it.

    Args:
        rows (Sequence[Summary]): The rows of a table, the first the student alone.
        digits (int): Digits of a score after the point.

    Returns:
        list[str]: One sentence for each row that has other seeds with the best weight.
    """
    found = best_weight(rows)
    if not found:
        return []
    best, chosen_by = found
    sentences = []
    for each in rows[1:]:
        fresh = sorted(set(each.scores) & set(best.scores) - chosen_by)
        if each.row.weight is None and fresh:
            scores = {seed: each.scores[seed] for seed in fresh}
            others = [
                f', and {gain(scores, other.scores).text(digits)} to {other.row.title}'
                for other in rows
                if other.row.weight and other is not best
                if set(fresh) <= set(other.scores)
            ]
            sentences.append(
                f'On {_seeds(fresh)}, {each.row.title} is '
                f'{gain(scores, best.scores).text(digits)} to {best.row.title}, '
                f'the best on {_seeds(sorted(chosen_by))}{"".join(others)}.'
            )
    return sentences


def _scores(each: Summary) -> dict[int, float]:
    # a run that a loss has stopped has diverged, and counts as 0
    stopped = {seed: 0.0 for seed, run in each.runs.items() if run.stopped}
    return {**each.scores, **stopped}


def _seeds(seeds: Sequence[int]) -> str:
    return f'seed{"s" * (len(seeds) > 1)} {", ".join(map(str, seeds))}'


def _count(runs: Sequence[bool], noun: str) -> str:
    return f'{len(runs)} {noun}' + ('s' if len(runs) > 1 else '')


def _some(runs: Sequence[bool]) -> str:
    return str(sum(runs)) if any(runs) else 'none'
