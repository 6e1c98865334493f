"""Compare training runs by their logs: a table and curves.

The table shows the last validation of each run and, in brackets, the difference
from the first run. --report makes the table of many methods and seeds instead, from
what tools/run_table.py keeps of their runs.
"""

import argparse
import os.path as osp
import re
from collections.abc import Sequence
from typing import NamedTuple, Optional

from ..errors import UserInputError
from ..logs import read_scalars, read_test_metrics, unit_of
from ..tables import percent, report_table
from ..tables.markdown import markdown_table
from ..visualization import check_new, make_folder, plot_curves
from .arguments import add_path

_SIZES = dict(s=' small', m=' medium', l=' large')
# last part of a metric's key: picture of its curves, labels of loss and score,
# and the factor that turns the score into percent
_CURVES = {
    'bbox_mAP': ('curves.png', ('detection loss', 'AP'), 100),
    'segm_mAP': ('curves_mask.png', ('detection loss', 'mask AP'), 100),
    'accuracy/top1': ('curves_top1.png', ('loss', 'top-1 accuracy'), 1),
}


class Run(NamedTuple):
    """Results in the logs of a run.

    Args:
        folder (str): Work dir of the run.
        trained (bool): Whether there are logs of training, or only of a test.
        end (str): Epoch or iteration of the last validation, ``'test'``, or
            ``'-'`` if there is none.
        metrics (dict[str, float]): Metrics of that validation or test, by key.
        unit (str): Whether ``end`` is an ``'epoch'`` or an ``'iteration'``;
            ``''`` if it is neither.
    """

    folder: str
    trained: bool
    end: str
    metrics: dict[str, float]
    unit: str = ''


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_path(parser, 'runs', nargs='*', metavar='RUN', help='work dirs of mmengine')
    parser.add_argument(
        '--names', nargs='+', help="one per run; default: the folders' names"
    )
    add_path(
        parser, '--out-dir', help='new folder; default: work_dirs/compare_RUN_RUN...'
    )
    add_path(
        parser,
        '--report',
        nargs='+',
        metavar='FOLDER',
        help='in place of RUN: folders such as docs/results/cifar20',
    )
    add_path(
        parser,
        '--page',
        help='Markdown file to write the reports into, each between <!-- FOLDER --> '
        'and <!-- / -->, and with a plot',
    )


def run(args: argparse.Namespace) -> None:
    if bool(args.runs) == bool(args.report):
        raise UserInputError('compare takes work dirs, or --report with folders')
    if args.page and not args.report:
        raise UserInputError('--page is for --report')
    if args.report:
        for flag, given in (('--names', args.names), ('--out-dir', args.out_dir)):
            if given:
                raise UserInputError(f'{flag} is for work dirs, not for --report')
        for folder in args.report:
            print(report_table(folder, args.page))
        return
    names = name_runs(args.runs, args.names)
    out_dir = args.out_dir or default_folder(args.runs)
    check_new(out_dir)
    runs = {name: read_run(folder) for name, folder in zip(names, args.runs)}
    report = write_report(runs)
    make_folder(out_dir)
    with open(osp.join(out_dir, 'table.md'), 'w', encoding='utf-8') as file:
        file.write(report)
    print(report)
    drawn = draw_curves(runs, out_dir)
    print(f'{"table and curves are" if drawn else "the table is"} in {out_dir}')


def name_runs(folders: Sequence[str], names: Optional[Sequence[str]]) -> list[str]:
    """Return the names to show, one per run."""
    if names is None:
        names = [osp.basename(osp.abspath(folder)) for folder in folders]
    if len(names) != len(folders) or len(set(names)) != len(names):
        raise UserInputError(
            f'{len(folders)} runs need as many names, each another: --names '
            f'(now: {", ".join(names)})'
        )
    return list(names)


def default_folder(folders: Sequence[str]) -> str:
    names = [osp.basename(osp.abspath(folder)) for folder in folders]
    if len(names) > 3:
        names = [names[0], f'and_{len(names) - 1}_more']
    return osp.join('work_dirs', '_'.join(['compare', *names]))


def read_run(folder: str) -> Run:
    """Read the last validation of a run, or else its last test.

    Raises:
        UserInputError: The folder is missing or has no logs.
    """
    if not osp.isdir(folder):
        raise UserInputError(f'no such folder: {folder}')
    try:
        entries = read_scalars(folder)
    except UserInputError:
        metrics = read_test_metrics(folder)
        if not metrics:
            raise
        return Run(folder, False, 'test', numbers(metrics))
    validations = [entry for entry in entries if 'loss' not in entry]
    if not validations:
        return Run(folder, True, '-', {})
    last = validations[-1]
    return Run(folder, True, str(last['step']), numbers(last), unit_of(entries))


def numbers(entry: dict) -> dict[str, float]:
    """Select the metrics from a log entry: their keys have a prefix."""
    return {
        key: value
        for key, value in entry.items()
        if '/' in key and isinstance(value, (int, float))
    }


def write_report(runs: dict[str, Run]) -> str:
    """Return the table and the notes about it as Markdown.

    Raises:
        UserInputError: No run has any metric.
    """
    keys = list(dict.fromkeys(key for run in runs.values() for key in run.metrics))
    if not keys:
        raise UserInputError('none of the runs has logged a validation')
    first = next(iter(runs.values()))
    unit, ends = ends_of(runs)
    rows = [{'': unit, **ends}]
    for key in keys:
        rows.append(
            {
                '': title(key),
                **{
                    name: cell(key, run, None if run is first else first)
                    for name, run in runs.items()
                },
            }
        )
    return '\n\n'.join([markdown_table(rows), *notes(runs, keys)]) + '\n'


def ends_of(runs: dict[str, Run]) -> tuple[str, dict[str, str]]:
    """Return the unit in which the runs count, and where each ends.

    If some count epochs and some iterations, the ends of the latter say so.
    """
    units = {run.unit for run in runs.values() if run.unit}
    unit = 'iteration' if units == {'iteration'} else 'epoch'
    return unit, {
        name: run.end if run.unit in ('', unit) else f'{run.unit} {run.end}'
        for name, run in runs.items()
    }


def notes(runs: dict[str, Run], keys: Sequence[str]) -> list[str]:
    lines = []
    if len(runs) > 1:
        lines.append(f'In brackets: difference to {next(iter(runs))}.')
    unit, ends = ends_of({name: run for name, run in runs.items() if run.metrics})
    if len(set(ends.values())) > 1:
        lines.append(
            f'Warning: the runs do not end at the same {unit}: '
            + ', '.join(f'{name} {end}' for name, end in ends.items())
        )
    missing = [name for name, run in runs.items() if not run.metrics]
    if missing:
        lines.append(
            'Without metrics, for want of a validation or of '
            f'anything detected in it: {", ".join(missing)}'
        )
    if any(key.startswith('coco/') for key in keys) and not any(
        key.endswith('_precision') for key in keys
    ):
        lines.append(
            'For AP by class, train or test with --cfg-options '
            'val_evaluator.classwise=True '
            'test_evaluator.classwise=True'
        )
    elif any(key.endswith('segm_mAP') for key in keys):
        lines.append(
            'AP by class is that of masks: mmdet logs it under the '
            'same name as that of boxes.'
        )
    return lines


def title(key: str) -> str:
    """Return the name of a metric in papers, or its key if it has none."""
    name = key.split('/', 1)[1]
    ap = re.fullmatch(r'(bbox|segm)_mAP(?:_(50|75|s|m|l))?', name)
    if ap:
        part = ap[2] or ''
        return ('mask ' if ap[1] == 'segm' else '') + 'AP' + _SIZES.get(part, part)
    if name.endswith('_precision'):
        return f'AP {name[: -len("_precision")]}'
    return key


def cell(key: str, run: Run, reference: Optional[Run]) -> str:
    """Return a metric in percent, with the difference from a reference if known."""
    value = percent(run.metrics, key)
    if value is None:
        return '-'
    before = percent(reference.metrics, key) if reference else None
    return f'{value:.1f}' + ('' if before is None else f' ({value - before:+.1f})')


def draw_curves(runs: dict[str, Run], out_dir: str) -> bool:
    """Draw a picture for each kind of score that was logged in training.

    Returns:
        bool: Whether there was any.
    """
    drawn = False
    folders = {name: run.folder for name, run in runs.items() if run.trained}
    for end, (file, labels, scale) in _CURVES.items():
        keys = [
            key
            for run in runs.values()
            if run.trained
            for key in run.metrics
            if key.endswith(end)
        ]
        if keys:
            plot_curves(folders, osp.join(out_dir, file), keys[0], scale, labels)
            drawn = True
    return drawn
