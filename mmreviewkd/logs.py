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

    A folder has a log for each start. From the step on in which a start begins, it
    counts, and not the earlier ones: they are of a run that was broken off, or that has
    been trained anew.

    Args:
        work_dir (str): Folder of the run.

    Returns:
        list[dict]: Training entries have ``loss``, ``epoch`` and more;
        validation entries have the metrics, and the epoch as ``step``.

    Raises:
        UserInputError: The folder contains no log.
    """
    pattern = osp.join(glob.escape(work_dir), '*', 'vis_data', 'scalars.json')
    validations: dict[int, dict] = {}
    training: dict[int, dict] = {}
    for path in sorted(glob.glob(pattern)):
        entries = _entries(path)
        first = next((entry for entry in entries if 'loss' in entry), None)
        if first:
            # validations of iteration-based runs count iterations, too
            begin = first.get('epoch', first['step'])
            validations = {k: v for k, v in validations.items() if k < begin}
            training = {
                step: entry
                for step, entry in training.items()
                # by epochs, too: this start may log at longer intervals
                if step < first['step'] and not entry.get('epoch', -1) >= begin
            }
        for entry in entries:
            (training if 'loss' in entry else validations)[entry['step']] = entry
    if not training and not validations:
        raise UserInputError(f'no training log matches {pattern}')
    return [each[step] for each in (validations, training) for step in sorted(each)]


def _entries(path: str) -> list[dict]:
    entries = []
    with open(path, encoding='utf-8') as file:
        for line in file:
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:
                continue  # the run was killed while writing this line
            if isinstance(entry, dict) and 'step' in entry:
                entries.append(entry)
    return entries


def read_test_metrics(work_dir: str) -> dict[str, float]:
    """Read what the last test in a folder has logged; empty if there was no test.

    A log that its test was killed while writing does not count.
    """
    paths = [
        path
        for path in sorted(glob.glob(osp.join(glob.escape(work_dir), '*', '*.json')))
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
