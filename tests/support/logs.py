"""What a run has logged."""

import json
from pathlib import Path


def scalars(work_dir):
    (path,) = Path(work_dir).glob('*/vis_data/scalars.json')
    return [json.loads(line) for line in path.read_text().splitlines()]


def average_precision(work_dir):
    return [
        line['coco/bbox_mAP'] for line in scalars(work_dir) if 'coco/bbox_mAP' in line
    ]
