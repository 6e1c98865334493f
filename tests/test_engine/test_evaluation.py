"""Exactly as many images as asked for, or as there are."""

import json
from pathlib import Path

from mmreviewkd.engine.evaluation import evaluate, main_metric

import numpy as np
import pytest
from mmdet.registry import METRICS
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel


@METRICS.register_module()
class Seen(BaseMetric):
    """Tells which images it was given."""

    def process(self, data_batch, data_samples):
        self.results += [int(sample) for sample in data_samples]

    def compute_metrics(self, results):
        return dict(seen=results)


@METRICS.register_module()
class Annotated(BaseMetric):
    """Tells which images its annotation file has, and of what it is."""

    def __init__(self, ann_file, prefix):
        super().__init__(prefix=prefix)
        self.file = json.loads(Path(ann_file).read_text())

    def process(self, data_batch, data_samples):
        self.results += data_samples

    def compute_metrics(self, results):
        images = [image['id'] for image in self.file['images']]
        return dict(images=images, categories=len(self.file['categories']))


class Echo(BaseModel):
    """Its predictions are the labels."""

    def forward(self, *args, **kwargs):
        """Not called."""

    def val_step(self, data):
        samples = data['data_samples']
        if isinstance(samples, dict):
            return samples['gt_label'].tolist()
        return [sample.img_id for sample in samples]


@pytest.fixture
def loader(tmp_path):
    # the label of each image is its place
    np.savez(tmp_path / 'a', x=np.zeros((20, 32, 32, 3), np.uint8), y=np.arange(20))
    return Config(
        dict(
            batch_size=8,
            num_workers=0,
            collate_fn=dict(type='as_is'),
            sampler=dict(type='DefaultSampler', shuffle=False),
            dataset=dict(
                type='ArchiveImages', num_classes=20, path=str(tmp_path / 'a.npz')
            ),
        )
    )


@pytest.mark.parametrize(
    'num_images, count',
    [(None, 20), (1, 1), (5, 5), (8, 8), (9, 9), (20, 20), (21, 20)],
)
def test_images_in_memory(loader, num_images, count):
    metrics, shown = evaluate(Echo(), loader, dict(type='Seen'), num_images)
    assert metrics == dict(seen=list(range(count))) and shown == count


def test_incomplete_batches_that_are_dropped_do_not_count(loader):
    loader.drop_last = True
    metrics, shown = evaluate(Echo(), loader, dict(type='Seen'))
    assert len(metrics['seen']) == shown == 16


@pytest.mark.parametrize('num_images, count', [(3, 3), (None, 4), (9, 4)])
def test_a_coco_dataset(project, num_images, count):
    cfg = Config.fromfile(project / 'plain.py')
    metrics, shown = evaluate(Echo(), cfg.val_dataloader, dict(type='Seen'), num_images)
    assert metrics == dict(seen=list(range(count))) and shown == count


def test_annotation_files_of_one_name(project, coco, tmp_path):
    whole = json.loads((coco / 'val.json').read_text())
    evaluator = []
    for name, categories in (('a', whole['categories']), ('b', [])):
        (tmp_path / name).mkdir()
        path = tmp_path / name / 'val.json'
        path.write_text(json.dumps(dict(whole, categories=categories)))
        evaluator.append(dict(type='Annotated', ann_file=str(path), prefix=name))
    cfg = Config.fromfile(project / 'plain.py')
    metrics, _ = evaluate(Echo(), cfg.val_dataloader, evaluator, 3)
    assert metrics == {
        'a/images': [0, 1, 2],
        'a/categories': len(whole['categories']),
        'b/images': [0, 1, 2],
        'b/categories': 0,
    }


@pytest.mark.parametrize(
    'metrics, main',
    [
        ({'coco/segm_mAP': 0.3, 'coco/bbox_mAP': 0.4}, 0.4),
        ({'accuracy/top1': 75.0, 'accuracy/top5': 90.0}, 0.75),
        # percents, as mmdet gives them; beside a box AP it is the latter that counts
        ({'coco_panoptic/PQ': 40.0, 'coco_panoptic/SQ': 80.0}, 0.4),
        ({'coco_panoptic/PQ': 40.0, 'coco/bbox_mAP': 0.3}, 0.3),
        ({'pascal_voc/mAP': 0.7, 'pascal_voc/AP50': 0.7}, 0.7),
        ({}, 0.0),
    ],
)
def test_main_metric_is_a_fraction(metrics, main):
    assert main_metric(metrics) == main
