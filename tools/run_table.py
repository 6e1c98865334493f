#!/usr/bin/env python
"""Train all runs of a table, one after the other, and keep their figures.

docs/results/TABLE/table.yml lists the runs. What is kept of each is written beside it
when the run ends, and mmreviewkd compare --report makes the table of it. Started again,
the program skips runs that are kept, and goes on with one that was broken off.

    python tools/run_table.py cifar20 --data DATA
"""

import argparse
import json
import os
import os.path as osp
import platform
import shlex
import signal
import subprocess
import sys
import time
from contextlib import redirect_stdout
from importlib import import_module

from mmreviewkd.commands.export import export_student
from mmreviewkd.compat.saving import latest_whole_checkpoint
from mmreviewkd.engine.one_line_errors import one_line_errors
from mmreviewkd.errors import UserInputError
from mmreviewkd.tables import (
    commit_of_now,
    last_line,
    read_record,
    read_table,
    record_run,
    score,
)
from mmreviewkd.tables.record import epochs_done, file_hash, read_run_settings

import torch
from mmengine.logging import MMLogger

RESULTS = 'docs/results'
# only the last checkpoint of a run is kept
OPTIONS = ('default_hooks.checkpoint.max_keep_ckpts=1',)
# how a training ends that a loss has stopped
STOPPED = 'Training stops'


class Run:
    """A training: what it is, how far it is, and what is kept of it."""

    def __init__(self, table, row, seed):
        self.table, self.row, self.seed = table, row, seed
        self.name = f'{row.name}, seed {seed}'
        self.work_dir = row.work_dir.format(seed=seed)
        self.console = osp.join(self.work_dir, 'console.log')
        self.result = table.result(row, seed)
        seeded = f'randomness.seed={seed}'
        self.options = [*OPTIONS, *table.options, *row.options, seeded]
        self.settings = read_run_settings(row.config, self.options)
        # of the starts so far: commits, seconds, peak memory
        self.notes = dict(config_hash=self.settings.hash, commits=[], seconds=0.0)
        self.notes['memory_mb'] = 0.0
        self.notes_file = osp.join(self.work_dir, 'notes.json')
        if osp.isfile(self.notes_file):
            with open(self.notes_file, encoding='utf-8') as file:
                self.notes = json.load(file)
            self._check(self.notes['config_hash'], self.work_dir)
        self.record = read_record(self.result)
        if self.record:
            self._check(self.record.content['config_hash'], self.result)

    def _check(self, former, path):
        if former != self.settings.hash:
            raise UserInputError(
                f'{path} is of another {self.row.config} or other options than those '
                'of now; move it away to run it again'
            )

    def _note(self):
        with open(self.notes_file, 'w', encoding='utf-8') as file:
            json.dump(self.notes, file)

    @property
    def trained(self):
        return epochs_done(self.work_dir) >= self.settings.epochs

    def command(self):
        command = ['train', self.row.config, '--work-dir', self.work_dir]
        return [*command, '--cfg-options', *self.options]

    def start(self):
        """Start the training, or go on with it; its output goes to console.log."""
        arguments = self.command()
        if epochs_done(self.work_dir):
            arguments.append('--resume')
        os.makedirs(self.work_dir, exist_ok=True)
        commit = commit_of_now()
        if commit not in self.notes['commits']:
            self.notes['commits'].append(commit)
        self._note()  # now, too: this program may be killed
        self.begun = time.time()
        with open(self.console, 'a', encoding='utf-8') as file:
            # imported from here, also if another checkout is installed
            path = os.pathsep.join([os.getcwd(), os.environ.get('PYTHONPATH', '')])
            self.process = subprocess.Popen(
                [sys.executable, '-m', 'mmreviewkd', *arguments],
                stdout=file,
                stderr=subprocess.STDOUT,
                env=dict(os.environ, OMP_NUM_THREADS='1', PYTHONPATH=path),
            )

    def end(self, code, memory_mb):
        """Note what the training cost, and keep its figures if it has all of them.

        Returns:
            str: What went wrong; empty if nothing did.
        """
        self.process.returncode = code
        self.notes['seconds'] += time.time() - self.begun
        self.notes['memory_mb'] = max(self.notes['memory_mb'], memory_mb)
        self._note()
        with open(self.console, encoding='utf-8', errors='replace') as file:
            last = last_line(file.read())
        if code and STOPPED not in last:
            return f'{self.name}: exit code {code}, {last} ({self.console})'
        self.keep(last if code else '')
        return ''

    def keep(self, stopped=''):
        teacher, exported = self.settings.teacher, ''
        file = latest_whole_checkpoint(self.work_dir)
        if file and self.row in self.table.rows:
            folder = f'work_dirs/tables/{self.table.name}/students'
            exported = f'{folder}/{self.row.name}_{self.seed}.pth'
            with open(self.console, 'a', encoding='utf-8') as out, redirect_stdout(out):
                export_student(file, exported)
        facts = dict(
            row=self.row.name,
            seed=self.seed,
            command=shlex.join(['mmreviewkd', *self.command()]),
            **self.notes,
            stopped=stopped,
            teacher=teacher and dict(file=teacher, sha256=file_hash(teacher)),
            student=exported and dict(file=exported, sha256=file_hash(exported)),
            machine=machine(),
            versions=versions(),
        )
        self.record = record_run(self.result, self.work_dir, facts)


def machine():
    if torch.cuda.is_available():
        return torch.cuda.get_device_name(0)
    return f'{platform.machine()} CPU, 1 of {os.cpu_count()} cores'


def versions():
    names = ('torch', 'torchvision', 'numpy', 'mmengine', 'mmcv', 'mmdet', 'mmreviewkd')
    found = {name: import_module(name).__version__ for name in names}
    return dict(python=platform.python_version(), **found)


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
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                run = waiting.pop(0)
                if run.trained:
                    run.keep()
                    report(run, sum(bool(r.record) for r in runs), len(runs))
                    continue
                run.start()
                running[run.process.pid] = run
                print(f'{run.name}: started, log in {run.work_dir}', flush=True)
            if not running:
                break
            pid, status, usage = os.wait4(-1, 0)
            run = running.pop(pid)
            # Linux counts in kB
            problem = run.end(os.waitstatus_to_exitcode(status), usage.ru_maxrss / 1024)
            if problem:
                problems.append(problem)
                print(f'error: {problem}', flush=True)
            done = [run for run in runs if run.record]
            if run.record:
                report(run, len(done), len(runs))
            left = time_left(done, [*waiting, *running.values()], jobs)
            print(f'{len(waiting) + len(running)} left, {left}', flush=True)
    finally:
        for run in running.values():
            run.process.terminate()
            run.process.wait()
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
