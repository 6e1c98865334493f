#!/usr/bin/env python
"""Measure the training step of each row of a table, relative to the student alone.

Runs mmreviewkd benchmark step for each row of docs/results/TABLE/table.yml with a
teacher, and keeps the results in docs/results/TABLE/steps.json, of which mmreviewkd
compare --report makes the columns of time and memory. Nothing else should run on the
machine meanwhile. Rows that are in the file are skipped: move it away to measure again.

    OMP_NUM_THREADS=1 python tools/measure_steps.py cifar20
    OMP_NUM_THREADS=1 python tools/measure_steps.py cbc-faster-rcnn --size 240x320
"""

import argparse
import json
import os.path as osp
import tempfile

from mmreviewkd.compat.saving import write_whole
from mmreviewkd.engine.one_line_errors import one_line_errors
from mmreviewkd.tables import commit_of_now, read_table, run_command
from mmreviewkd.tables.record import read_run_settings
from mmreviewkd.tables.steps import FILE

RESULTS = 'docs/results'


def measure(row, options, arguments):
    """Return what mmreviewkd benchmark step writes of a row."""
    with tempfile.TemporaryDirectory() as folder:
        path = osp.join(folder, 'step.json')
        command = ['benchmark', 'step', row.config, '--json', path, *arguments]
        run_command(row.name, *command, '--cfg-options', *options)
        with open(path, encoding='utf-8') as file:
            return dict(json.load(file), commit=commit_of_now())


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('table', help=f'name of a folder in {RESULTS}')
    parser.add_argument('--device', default='cpu', help='default: cpu')
    parser.add_argument('--rows', nargs='+', help='names of rows; default: all')
    parser.add_argument('--size', help='of the images, HEIGHTxWIDTH')
    parser.add_argument('--repeats', default='9', help='timed steps; default: 9')
    return parser.parse_args()


def main():
    args = parse_args()
    table = read_table(osp.join(RESULTS, args.table))
    path = osp.join(table.folder, FILE)
    results = {}
    if osp.isfile(path):
        with open(path, encoding='utf-8') as file:
            results = json.load(file)
    arguments = ['--device', args.device, '--repeats', args.repeats]
    if args.size:
        arguments += ['--size', args.size]
    waiting = [
        row
        for row in table.chosen(args.rows)
        # a student alone has no steps of a distillation
        if row.name not in results and read_run_settings(row.config, []).teacher
    ]
    for number, row in enumerate(waiting, 1):
        result = measure(row, [*table.options, *row.options], arguments)
        results[row.name] = result
        seconds = result['seconds']
        ratio = seconds['distilled'] / seconds['student']
        print(f'[{number}/{len(waiting)}] {row.title}: {ratio:.2f}x', flush=True)
        write_whole(path, json.dumps(results, indent=1) + '\n')


if __name__ == '__main__':
    with one_line_errors():
        main()
