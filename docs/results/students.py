#!/usr/bin/env python
"""Keep the trained students of a table, and make its scores anew from them.

    python docs/results/students.py cifar20
    python docs/results/students.py cifar20 --check

The first copies what tools/run_table.py has exported into docs/results/TABLE/students,
with SHA256SUMS, whose format is that of sha256sum; the second tests each of them on the
data, which lie where docs/results/protocol.md says, and compares the scores with those
that are kept. It needs the package, installed or by PYTHONPATH.
"""

import argparse
import glob
import json
import os
import os.path as osp
import shutil
import tempfile

from mmreviewkd.compat.saving import write_whole
from mmreviewkd.engine.one_line_errors import one_line_errors
from mmreviewkd.errors import UserInputError
from mmreviewkd.tables import (
    percent,
    read_record,
    read_table,
    run_command,
    score,
)
from mmreviewkd.tables.record import file_hash

RESULTS = 'docs/results'
SUMS = 'SHA256SUMS'
# other machines round otherwise: a few images of CIFAR's 2000, in percent
NEAR = 0.2


def kept_runs(table, seeds):
    """The runs of a table whose student was exported, with their records."""
    for row in table.rows:
        for seed in seeds or table.seeds:
            record = read_record(table.result(row, seed))
            if record and record.content['student']:
                yield row, seed, record


def keep(table, seeds):
    """Copy the students, and list their checksums."""
    folder = osp.join(table.folder, 'students')
    os.makedirs(folder, exist_ok=True)
    missing = []
    for _, _, record in kept_runs(table, seeds):
        student = record.content['student']
        if osp.isfile(student['file']):
            if file_hash(student['file']) != student['sha256']:
                raise UserInputError(
                    f'{student["file"]} is not the one of {table.name}'
                )
            shutil.copy(student['file'], folder)
        elif not osp.isfile(osp.join(folder, osp.basename(student['file']))):
            missing.append(osp.basename(student['file']))
    # those of other seeds, too, which an earlier call has copied
    files = sorted(glob.glob(osp.join(folder, '*.pth')))
    lines = [f'{file_hash(path)}  {osp.basename(path)}\n' for path in files]
    write_whole(osp.join(folder, SUMS), ''.join(lines))
    print(f'{len(lines)} students in {folder}')
    if missing:
        print(
            f'{len(missing)} more were trained and are not here: {", ".join(missing)}'
        )


def check(table, seeds):
    """Test the students, and compare their scores with those that are kept."""
    key = next(iter(table.metrics.values()))
    folder = osp.join(table.folder, 'students')
    tested, wrong = 0, []
    for row, seed, record in kept_runs(table, seeds):
        name = osp.basename(record.content['student']['file'])
        path = osp.join(folder, name)
        if not osp.isfile(path):
            continue
        if file_hash(path) != record.content['student']['sha256']:
            raise UserInputError(f'{path} is not the one of {table.name}')
        kept, now = score(record, key), test(path, row, table.options, key)
        print(f'{row.title}, seed {seed}: kept {kept:.2f}, now {now:.2f}', flush=True)
        tested += 1
        if abs(kept - now) > NEAR:
            wrong.append(name)
    if not tested:
        raise UserInputError(f'{folder} has no student of these runs')
    if wrong:
        raise UserInputError(f'other scores than those kept: {", ".join(wrong)}')


def test(path, row, options, key):
    """The score of a student, in percent, from mmreviewkd test."""
    with tempfile.TemporaryDirectory() as folder:
        command = ['test', row.config, path, '--work-dir', folder]
        run_command(path, *command, '--cfg-options', *options, *row.options)
        (log,) = glob.glob(osp.join(folder, '*', '*.json'))
        with open(log, encoding='utf-8') as file:
            return percent(json.load(file), key)


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('table', help=f'name of a folder in {RESULTS}')
    parser.add_argument('--seeds', type=int, nargs='+', help="default: the table's")
    parser.add_argument('--check', action='store_true', help='test what is kept')
    return parser.parse_args()


def main():
    args = parse_args()
    table = read_table(osp.join(RESULTS, args.table))
    (check if args.check else keep)(table, args.seeds)


if __name__ == '__main__':
    with one_line_errors():
        main()
