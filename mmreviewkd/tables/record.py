"""What is kept of a run: a small file of its figures, and where they come from."""

from __future__ import annotations

import hashlib
import json
import math
import os.path as osp
import re
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..compat.saving import latest_whole_checkpoint, write_whole
from ..errors import UserInputError
from ..logs import epoch_means, read_scalars
from ..methods.auto_weight import EARLY, INTERVAL, RESTART, SHARE
from ..models.configs import load_config

# what a log entry has beside losses
_OTHER = ('epoch', 'iter', 'step', 'lr', 'time', 'data_time', 'memory')


class Record(NamedTuple):
    """What is kept of a run.

    Args:
        scores (dict[str, float]): Metrics of the last epoch that was validated.
        stopped (str): Why the run ended before its last epoch; empty if it did not.
        content (dict): All that the file has.
    """

    scores: dict[str, float]
    stopped: str
    content: dict[str, Any]


class RunSettings(NamedTuple):
    """What has to be known of a config before it is run.

    Args:
        hash (str): SHA-256 of the whole config with its options.
        epochs (int): Number of epochs.
        teacher (str, optional): File of the teacher's weights.
        load_from (str, optional): File of the weights that the run starts from.
    """

    hash: str
    epochs: int
    teacher: str | None
    load_from: str | None


def read_record(path: str) -> Record | None:
    """Read what is kept of a run; None if there is no such file yet.

    Raises:
        UserInputError: The file is none of a run.
    """
    if not osp.isfile(path):
        return None
    try:
        with open(path, encoding='utf-8') as file:
            content = json.load(file)
        scores = {
            key: values[-1]
            for key, values in content['validation'].items()
            if key != 'epoch' and values
        }
        return Record(
            # JSON has no nan
            {key: math.nan if v is None else float(v) for key, v in scores.items()},
            content['stopped'],
            content,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserInputError(
            f'{path} is not what run_table.py keeps of a run: '
            f'{type(error).__name__}: {error}'
        ) from None


def record_run(
    path: str, work_dir: str, facts: Mapping[str, Any], epochs: int
) -> Record:
    """Write what is kept of a run, from its logs.

    Args:
        path (str): File to write.
        work_dir (str): Folder of the run.
        facts (Mapping[str, Any]): What the logs do not tell: ``memory_mb``, ``stopped``
            and more, which is written as it is.
        epochs (int): Number of epochs of the run, unless it was stopped.

    Returns:
        Record: What was written.

    Raises:
        UserInputError: The run has no logs, or no score of its last epoch, although it
            was not stopped.
    """
    try:
        entries = read_scalars(work_dir)
    except UserInputError:
        if not facts['stopped']:
            raise
        entries = []  # a loss has stopped it before its first entry
    steps = [entry for entry in entries if 'loss' in entry]
    validations = [entry for entry in entries if 'loss' not in entry]
    keys = [key for entry in steps for key in entry if key not in _OTHER]
    losses = {key: dict(zip(*epoch_means(steps, key))) for key in dict.fromkeys(keys)}
    if validations and not facts['stopped'] and validations[-1]['step'] != epochs:
        # saved before it is validated, and killed in between
        raise UserInputError(
            f'{work_dir} has no score of its last epoch, {epochs}; move it away to run '
            'it again'
        )
    trained = list(losses.get('loss', ()))
    metrics = dict.fromkeys(key for each in validations for key in each if '/' in key)
    on_gpu = [entry['memory'] for entry in steps if 'memory' in entry]
    content = {
        **facts,
        'memory_mb': max(on_gpu) if on_gpu else facts['memory_mb'],
        'step_seconds': _short(
            statistics.median(e['time'] for e in steps) if steps else math.nan
        ),
        'training': {
            'epoch': trained,
            # an epoch in which a method has weight 0 has none of its losses
            **{
                key: [_short(means.get(epoch, math.nan)) for epoch in trained]
                for key, means in losses.items()
            },
        },
        'validation': {
            'epoch': [entry['step'] for entry in validations],
            **{
                key: [_short(each.get(key, math.nan)) for each in validations]
                for key in metrics
            },
        },
    }
    write_whole(path, _as_text(content))
    record = read_record(path)
    assert record is not None
    return record


def epochs_done(work_dir: str) -> int:
    """Return the epoch of a run's last checkpoint, 0 if there is none."""
    found = re.search(r'epoch_(\d+)\.pth$', latest_whole_checkpoint(work_dir) or '')
    return int(found[1]) if found else 0


def read_run_settings(config: str, options: Sequence[str]) -> RunSettings:
    """Read what has to be known of a config before it is run.

    Args:
        config (str): Path or name of the config.
        options (Sequence[str]): Settings as ``--cfg-options`` takes them; they are in
            the hash as they are written, and so are the numbers of ``weight='auto'``.
    """
    cfg = load_config(config)
    given = dict(option.split('=', 1) for option in options)
    teacher = cfg.model.get('teacher', {}).get('checkpoint')
    parts = [cfg.to_dict(), given]
    review = cfg.model.get('review') or {}
    if given.get('model.review.weight', review.get('weight')) == 'auto':
        # what the config leaves to the code, and which may change
        share = [] if {'share', 'model.review.share'} & {*review, *given} else [SHARE]
        parts.append([*share, INTERVAL, EARLY, RESTART])
    text = json.dumps(parts, sort_keys=True, default=str)
    return RunSettings(
        hashlib.sha256(text.encode()).hexdigest(),
        int(given.get('train_cfg.max_epochs', cfg.train_cfg.max_epochs)),
        given.get('model.teacher.checkpoint', teacher),
        given.get('load_from', cfg.get('load_from')),
    )


def file_hash(path: str) -> str:
    """Return the SHA-256 of a file."""
    with open(path, 'rb') as file:
        return hashlib.sha256(file.read()).hexdigest()


def _short(value: float) -> float | None:
    """Round to what matters, so that the files stay small; JSON has no nan."""
    return float(f'{value:.5g}') if math.isfinite(value) else None


def _as_text(content: dict[str, Any]) -> str:
    """Format as JSON with one line for each list and each innermost dict."""
    text = json.dumps(content, indent=1)
    return (
        re.sub(r'[\[{][^\[\]{}]*[\]}]', lambda part: ' '.join(part[0].split()), text)
        + '\n'
    )
