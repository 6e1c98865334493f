"""What runs have logged, read from the files that mmengine writes."""

import glob
import json
import os.path as osp
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress

import numpy as np
from mmengine.fileio import load

from .errors import UserInputError


def read_scalars(work_dir: str) -> list[dict]:
    """Read everything that a run has logged, in the order of its steps.

    A resumed run has a log for each start. If several logs contain the same step, the
    latest counts.

    Args:
        work_dir (str): Folder of the run.

    Returns:
        list[dict]: Training entries have ``loss``, ``epoch`` and more;
        validation entries have the metrics, and the epoch as ``step``.

    Raises:
        UserInputError: The folder contains no log.
    """
    pattern = osp.join(work_dir, '*', 'vis_data', 'scalars.json')
    entries = {}
    for path in sorted(glob.glob(pattern)):
        with open(path, encoding='utf-8') as file:
            for line in file:
                try:
                    entry = json.loads(line)
                    entries['loss' in entry, entry['step']] = entry
                except (json.JSONDecodeError, TypeError, KeyError):
                    continue  # the run was killed while writing this line
    if not entries:
        raise UserInputError(f'no training log matches {pattern}')
    return [entries[key] for key in sorted(entries)]


def read_test_metrics(work_dir: str) -> dict[str, float]:
    """Read what the last test in a folder has logged; empty if there was no test.

    A log that its test was killed while writing does not count.
    """
    paths = [
        path
        for path in sorted(glob.glob(osp.join(work_dir, '*', '*.json')))
        # the log is START/START.json; there may be result files beside it
        if osp.basename(path) == f'{osp.basename(osp.dirname(path))}.json'
    ]
    for path in reversed(paths):
        with suppress(json.JSONDecodeError):
            metrics = load(path)
            if isinstance(metrics, dict):
                return metrics
    return {}


def epoch_means(entries: Sequence[dict], key: str) -> tuple[list[int], list[float]]:
    """Return the epochs, and the mean of the values under ``key`` in each epoch."""
    values = defaultdict(list)
    for entry in entries:
        if key in entry:
            # in validation entries, the step is the epoch
            values[entry.get('epoch', entry['step'])].append(entry[key])
    return list(values), [float(np.mean(each)) for each in values.values()]


def unit_of(entries: Sequence[dict]) -> str:
    """Return the unit in which a run counts: ``'epoch'`` or ``'iteration'``."""
    # mmengine logs no epochs for iteration-based runs
    return 'epoch' if any('epoch' in entry for entry in entries) else 'iteration'
