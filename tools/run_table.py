#!/usr/bin/env python
"""Train all runs of a table, one after the other, and keep their figures.

docs/results/TABLE/table.yml lists the runs. What is kept of each is written beside it
when the run ends, and mmreviewkd compare --report makes the table of it. Started again,
the program skips runs that are kept, and goes on with one that was broken off.

    python tools/run_table.py cifar20 --data DATA
"""

import argparse
import os
import os.path as osp
import signal

from mmreviewkd.engine.one_line_errors import one_line_errors
from mmreviewkd.errors import UserInputError
from mmreviewkd.tables import Run, read_table, score

from mmengine.logging import MMLogger

RESULTS = 'docs/results'


def link_data(folder):
    """Let data/NAME, where the configs look, be a link to FOLDER/NAME."""
    if not osp.isdir(folder):
        raise UserInputError(f'--data {folder}: no such folder')
    os.makedirs('data', exist_ok=True)
    for name in os.listdir(folder):
        if osp.isdir(osp.join(folder, name)) and not osp.lexists(f'data/{name}'):
            os.symlink(osp.abspath(osp.join(folder, name)), f'data/{name}')


def time_left(known, waiting, jobs):
    """Say how long the runs in a list will take, from those that are done."""
    if not known:
        return 'time unknown'
    seconds = {run.row.name: run.record.content['seconds'] for run in known}
    mean = sum(seconds.values()) / len(seconds)
    left = sum(seconds.get(run.row.name, mean) for run in waiting) / jobs
    hours, minutes = divmod(round(left / 60), 60)
    return f'about {hours} h {minutes} min'


def train(runs, jobs):
    """Train what is not kept yet, in this order; return what went wrong."""
    waiting = [run for run in runs if not run.record]
    running, problems = {}, []

    def keep(run):
        problem = run.keep()
        if problem:
            problems.append(problem)
            print(f'error: {problem}', flush=True)
        else:
            report(run, sum(bool(each.record) for each in runs), len(runs))

    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                run = waiting.pop(0)
                run.look()
                if run.record:
                    continue
                if run.trained:
                    keep(run)
                    continue
                running[run.start()] = run
                print(f'{run.name}: started, log in {run.work_dir}', flush=True)
            if not running:
                break
            pid, status, usage = os.wait4(-1, 0)
            run = running.pop(pid)
            run.ended(status, usage)
            keep(run)
            done = [run for run in runs if run.record]
            left = time_left(done, [*waiting, *running.values()], jobs)
            print(f'{len(waiting) + len(running)} left, {left}', flush=True)
    finally:
        for run in running.values():
            run.stop()
    return problems


def report(run, number, total):
    name, key = next(iter(run.table.metrics.items()))
    value = score(run.record, key)
    figure = '' if value is None else f'{name} {value:.2f}, '
    minutes = run.record.content['seconds'] / 60
    stopped = f'; {run.record.stopped}' if run.record.stopped else ''
    print(f'[{number}/{total}] {run.name}: {figure}{minutes:.1f} min{stopped}')


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('table', help=f'name of a folder in {RESULTS}')
    parser.add_argument(
        '--data', help='folder of cifar100, cbc or deeppcb, which data/ links to'
    )
    parser.add_argument('--jobs', type=int, default=1, help='runs at the same time')
    parser.add_argument('--seeds', type=int, nargs='+', help="default: the table's")
    parser.add_argument('--rows', nargs='+', help='names of rows; default: all')
    return parser.parse_args()


def main():
    args = parse_args()
    if args.jobs < 1:
        raise UserInputError(f'--jobs {args.jobs}: must be at least 1')
    table = read_table(osp.join(RESULTS, args.table))
    rows = table.chosen(args.rows)
    if args.data:
        link_data(args.data)
    first = [Run(table, row, 0) for row in table.first]
    # whole seeds, so that what is there compares whenever this is stopped
    runs = [
        Run(table, row, seed)
        for seed in args.seeds or table.seeds
        for row in rows
        if seed in table.seeds_of(row)
    ]
    if not runs:
        raise UserInputError(
            f'none of these rows has a seed of {args.seeds or table.seeds}; '
            f'{osp.join(table.folder, "table.yml")} lists them'
        )
    # what mmengine tells of each checkpoint that is read
    MMLogger.get_current_instance().setLevel('ERROR')
    # ends the trainings, too
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for run in first:
        if train([run], 1):
            raise UserInputError(f'without {run.row.name} nothing else is trained')
    problems = train(runs, args.jobs)
    if problems:
        raise UserInputError(f'{len(problems)} runs failed, the last: {problems[-1]}')


if __name__ == '__main__':
    with one_line_errors():
        main()
