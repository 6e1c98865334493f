"""Which runs a table is of: the file ``table.yml`` beside their results."""

from __future__ import annotations

import os.path as osp
from collections.abc import Sequence
from typing import Any, NamedTuple

import yaml

from ..errors import UserInputError, near

FILE = 'table.yml'
_KEYS = ('title', 'metrics', 'seeds', 'options', 'first', 'rows')


class Row(NamedTuple):
    """A row of a table: one config, run with several seeds.

    Args:
        name (str): Name in files, such as ``'kd'``.
        title (str): Name to show.
        config (str): Path of the config.
        work_dir (str): Folder of a run, with ``{seed}`` in it. What is trained before
            the rows has a folder that the configs of the rows know.
        options (Sequence[str]): Settings of its runs beside those of all rows.
        weight (float, optional): Weight of the review, in a table of several weights.
        alone (str, optional): Name of the row with the student alone that it is
            compared with; None means the table's first.
        seeds (Sequence[int], optional): Seeds of its runs; None means the table's.
        sha256 (Sequence[str]): Hashes of the files that have the weights of this
            teacher. A file has the time of its training in it, so that a teacher
            trained again has another hash, even if its weights are the same.
    """

    name: str
    title: str
    config: str
    work_dir: str
    options: Sequence[str] = ()
    weight: float | None = None
    alone: str | None = None
    seeds: Sequence[int] | None = None
    sha256: Sequence[str] = ()


class Table(NamedTuple):
    """A table of runs, of which the first row is the student alone.

    Args:
        name (str): Name of its folder.
        folder (str): Path of its folder.
        title (str): Title to show.
        metrics (dict[str, str]): Keys of the metrics in logs, by the names to show. The
            first is the score that is compared seed by seed.
        seeds (Sequence[int]): Seeds of each row.
        options (Sequence[str]): Settings of all runs, as ``--cfg-options`` takes them.
        first (Sequence[Row]): What is trained once, with seed 0, before the rows; the
            first of them is the teacher.
        rows (Sequence[Row]): The rows in their order.
    """

    name: str
    folder: str
    title: str
    metrics: dict[str, str]
    seeds: Sequence[int]
    options: Sequence[str]
    first: Sequence[Row]
    rows: Sequence[Row]

    def seeds_of(self, row: Row) -> Sequence[int]:
        """Return the seeds of a row; what is trained before the rows has seed 0."""
        if row in self.first:
            return [0]
        return self.seeds if row.seeds is None else row.seeds

    def result(self, row: Row, seed: int) -> str:
        """Return the path of the file with what is kept of a run."""
        return osp.join(self.folder, f'{row.name}_{seed}.json')

    def chosen(self, names: Sequence[str] | None) -> list[Row]:
        """Return the rows of these names, in the table's order; None means all.

        Raises:
            UserInputError: The table has no row of such a name.
        """
        known = [row.name for row in self.rows]
        for name in names or ():
            if name not in known:
                raise UserInputError(
                    f'{self.folder} has no row {name!r}{near(name, known)}'
                )
        return [row for row in self.rows if names is None or row.name in names]


def read_table(folder: str) -> Table:
    """Read the description of a table from its folder.

    Args:
        folder (str): Folder with ``table.yml``.

    Raises:
        UserInputError: The file is missing or is no such description.
    """
    path = osp.join(folder, FILE)
    if not osp.isfile(path):
        raise UserInputError(f'{folder} has no {FILE}, which lists the runs of a table')
    with open(path, encoding='utf-8') as file:
        try:
            content = yaml.safe_load(file)
        except yaml.YAMLError as error:
            raise UserInputError(f'{path}: {" ".join(str(error).split())}') from None
    if not isinstance(content, dict) or set(content) != set(_KEYS):
        raise UserInputError(f'{path}: must have {", ".join(_KEYS)} and nothing else')
    name = osp.basename(osp.abspath(folder))
    try:
        first, rows = (_rows(content[key], name) for key in ('first', 'rows'))
    except (AttributeError, KeyError, TypeError):
        raise UserInputError(
            f'{path}: each of first and rows must be a NAME: with title and config'
        ) from None
    if not rows or not content['metrics'] or not content['seeds']:
        raise UserInputError(f'{path}: has no rows, no metrics or no seeds')
    names = [row.name for row in rows]
    for row in rows:
        if row.alone and row.alone not in names:
            raise UserInputError(
                f'{path}: {row.name} is compared with {row.alone!r}, which is no row'
                f'{near(row.alone, names)}'
            )
    table = Table(
        name,
        folder,
        content['title'],
        content['metrics'],
        content['seeds'],
        content['options'] or [],
        first,
        rows,
    )
    for row in rows:
        (alone,) = (each for each in rows if each.name == (row.alone or names[0]))
        lacking = set(table.seeds_of(row)) - set(table.seeds_of(alone))
        if lacking:
            raise UserInputError(
                f'{path}: {row.name} has seed {min(lacking)}, and {alone.name}, which '
                'it is compared with, has not'
            )
    return table


def _rows(entries: dict[str, Any], table: str) -> list[Row]:
    return [
        Row(
            name,
            entry['title'],
            entry['config'],
            # a run that two tables have is in the folder of the one
            entry.get('work_dir')
            or f'work_dirs/tables/{entry.get("runs_of", table)}/{name}_{{seed}}',
            entry.get('options') or [],
            entry.get('weight'),
            entry.get('alone'),
            entry.get('seeds'),
            entry.get('sha256') or (),
        )
        for name, entry in (entries or {}).items()
    ]
