"""What a run has logged, and logs that are made up."""

import json
from pathlib import Path


def scalars(work_dir):
    (path,) = Path(work_dir).glob('*/vis_data/scalars.json')
    return [json.loads(line) for line in path.read_text().splitlines()]


def average_precision(work_dir):
    return [
        line['coco/bbox_mAP'] for line in scalars(work_dir) if 'coco/bbox_mAP' in line
    ]


def write_log(work_dir, entries, start='20260101_000000'):
    folder = work_dir / start / 'vis_data'
    folder.mkdir(parents=True)
    (folder / 'scalars.json').write_text(
        '\n'.join(
            each if isinstance(each, str) else json.dumps(each) for each in entries
        )
    )
    return str(work_dir)


def run_log(review=()):
    for step in range(1, 5):
        entry = dict(loss=4.0 / step, epoch=(step + 1) // 2, step=step)
        if review:
            entry.update(loss_review=1.0 / step, loss=5.0 / step)
        yield entry
    yield {'coco/bbox_mAP': 0.25, 'step': 1}
    yield {'coco/bbox_mAP': 0.5, 'step': 2}
