#!/usr/bin/env python
"""Write report.md and report.json from what tools/gpu_report.sh left in a folder."""

import json
import sys
from pathlib import Path

from mmreviewkd.engine.one_line_errors import one_line_errors
from mmreviewkd.errors import UserInputError
from mmreviewkd.logs import read_scalars
from mmreviewkd.tables.markdown import markdown_table
from mmreviewkd.tables.speed import read_results, speed_tables


def read_stages(folder):
    """What each stage ran, printed and measured, in the order in which they started."""
    paths = folder.glob('*.command')
    results = read_results(folder)
    stages = {}
    for path in sorted(paths, key=lambda path: path.stat().st_mtime_ns):
        ended = path.with_suffix('.status')
        # none of a stage whose machine was lost
        text = ended.read_text() if ended.exists() else 'interrupted, 0 s'
        status, seconds = text.strip().split(', ')
        output, logged = (
            path.with_suffix(suffix).read_text(errors='replace').strip()
            for suffix in ('.out', '.log')
        )
        stages[path.stem] = dict(
            status=status,
            seconds=int(seconds.split()[0]),
            command=path.read_text().strip(),
            output=output,
            last_line='' if status == 'done' else (logged or output).split('\n')[-1],
            result=results.get(path.stem) or read_training(folder / path.stem),
        )
    return stages


def read_training(work_dir):
    """The last epoch of a training and its accuracy, if it has one."""
    try:
        entries = read_scalars(str(work_dir))
    except UserInputError:
        return None
    tested = [entry for entry in entries if 'accuracy/top1' in entry]
    if not tested:
        return None
    return dict(epoch=tested[-1]['step'], top1=tested[-1]['accuracy/top1'])


def report(stages, results):
    """The stages as Markdown: an overview, tables, and what each stage printed."""
    rows = [
        dict(
            stage=name,
            status=stage['status'],
            seconds=stage['seconds'],
            remark=stage['last_line'].replace('|', '/')[:100],
        )
        for name, stage in stages.items()
    ]
    parts = ['# GPU report', markdown_table(rows)]
    if results:
        parts += ['## Speed', speed_tables(results)]
    trained = [
        dict(run=name, epoch=stage['result']['epoch'], top1=stage['result']['top1'])
        for name, stage in stages.items()
        if stage['result'] and 'top1' in stage['result']
    ]
    if trained:
        parts += ['## CIFAR-100', markdown_table(trained)]
    parts.append('## Stages')
    for name, stage in stages.items():
        parts += [f'### {name}', f'```bash\n{stage["command"]}\n```']
        if stage['output']:
            # the benchmarks print Markdown themselves
            measured = stage['result'] and 'benchmark' in stage['result']
            output = stage['output']
            parts.append(output if measured else f'```text\n{output}\n```')
    return '\n\n'.join(parts) + '\n'


def main(folder):
    stages = read_stages(folder)
    if not stages:
        raise UserInputError(
            f'{folder}: no stage has this name, and none was run before'
        )
    text = report(stages, read_results(folder))
    (folder / 'report.md').write_text(text, encoding='utf-8')
    (folder / 'report.json').write_text(json.dumps(stages, indent=2), encoding='utf-8')
    print(folder / 'report.md')


if __name__ == '__main__':
    with one_line_errors():
        main(Path(sys.argv[1]))
