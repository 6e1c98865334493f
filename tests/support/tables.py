"""A table of made-up runs, whose figures are known by hand."""

import json

TABLE = """
title: a table
metrics: {AP: coco/bbox_mAP, AP small: coco/bbox_mAP_s}
seeds: [0, 1, 2]
options: [randomness.deterministic=True]
first:
  teacher: {title: teacher, config: teacher.py, work_dir: work_dirs/teacher}
  head: {title: head, config: head.py, work_dir: work_dirs/head}
rows:
  alone: {title: student alone, config: alone.py}
  kd: {title: KD, config: kd.py}
  pkd: {title: PKD, config: pkd.py, runs_of: other}
"""


def write_table(folder, text=TABLE):
    folder.mkdir(parents=True)
    (folder / 'table.yml').write_text(text)
    return folder


def write_record(folder, row, seed, score, **changed):
    """What is kept of a run whose last AP is ``score`` percent."""
    content = dict(
        row=row,
        seed=seed,
        commits=['0123456789abcdef'],
        machine='a CPU',
        versions=dict(torch='2.1', mmdet='3.3', mmcv='2.1'),
        teacher=dict(file='teacher.pth', sha256='1'),
        stopped='',
        memory_mb=500.0,
        step_seconds=0.1,
        training={'epoch': [1], 'loss': [2.0]},
        validation={
            'epoch': [3, 6],
            'coco/bbox_mAP': [0.9, score / 100],
            'coco/bbox_mAP_s': [0.5, -1.0],
        },
    )
    content.update(changed)
    (folder / f'{row}_{seed}.json').write_text(json.dumps(content))


def write_steps(folder, **ratios):
    """What was measured of the steps of rows; time and memory relative to alone."""
    results = {
        row: dict(
            machine=dict(device='a CPU', torch='2.1'),
            settings=dict(batch=8, size='32x32', repeats=9),
            seconds=dict(student=0.5, teacher=0.1, distilled=0.5 * time),
            peak_bytes=dict(student=100, distilled=100 * memory),
            commit='0123456789abcdef',
        )
        for row, (time, memory) in ratios.items()
    }
    (folder / 'steps.json').write_text(json.dumps(results))


def rows(text):
    """The cells of a Markdown table, by the names of row and column."""
    lines = [line for line in text.splitlines() if line.startswith('|')]
    header, _, *others = [
        [cell.strip() for cell in line.split('|')[1:-1]] for line in lines
    ]
    return {line[0]: dict(zip(header[1:], line[1:])) for line in others}
