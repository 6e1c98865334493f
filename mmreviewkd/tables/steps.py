"""What a training step of each row costs, as ``mmreviewkd benchmark step`` measures it.

The times in the log of a run are not used: other programs may have run beside it.
"""

from __future__ import annotations

import json
import os.path as osp
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..errors import UserInputError
from .command import short
from .table import Table

FILE = 'steps.json'


class Cost(NamedTuple):
    """What a step costs, relative to a step of the student alone.

    Args:
        time (float): Time of a step.
        memory (float): Peak of what torch allocates in a step, beyond weights and
            optimizer state.
    """

    time: float
    memory: float


class Steps(NamedTuple):
    """What the steps of a table's rows cost.

    Args:
        costs (dict[str, Cost]): By the name of the row.
        setting (str): What was measured, on what, and with which code.
    """

    costs: dict[str, Cost]
    setting: str


def read_steps(table: Table) -> Steps:
    """Read what was measured of a table's rows; of none if there is no file.

    Raises:
        UserInputError: The file is not what tools/measure_steps.py writes.
    """
    path = osp.join(table.folder, FILE)
    if not osp.isfile(path):
        return Steps({}, '')
    try:
        with open(path, encoding='utf-8') as file:
            results = json.load(file)
        # the first row is the student alone
        costs = {table.rows[0].name: Cost(1.0, 1.0)}
        for name, result in results.items():
            seconds, peaks = result['seconds'], result['peak_bytes']
            costs[name] = Cost(
                seconds['distilled'] / seconds['student'],
                peaks['distilled'] / peaks['student'],
            )
        if not results:
            return Steps({}, '')
        settings = {_setting(result) for result in results.values()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserInputError(
            f'{path} is not what measure_steps.py writes: '
            f'{type(error).__name__}: {error}'
        ) from None
    if len(settings) > 1:
        raise UserInputError(
            f'{path}: rows were measured in different settings: '
            f'{" / ".join(sorted(settings))}'
        )
    commits = {
        short(result['commit']) for result in results.values() if result.get('commit')
    }
    return Steps(costs, ', commit '.join([*settings, *sorted(commits)]))


def _setting(result: Mapping[str, Any]) -> str:
    settings, machine = result['settings'], result['machine']
    return (
        f'batch {settings["batch"]}, images of {settings["size"]}, '
        f'{machine["device"]}, torch {machine["torch"]}, '
        f'median of {settings["repeats"]}'
    )
