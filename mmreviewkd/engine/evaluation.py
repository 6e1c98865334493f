"""Evaluates a model on a dataset, or on its first images."""

import copy
import os.path as osp
import tempfile
from collections.abc import Sized
from typing import Optional, Union

import torch
from mmengine.dataset import DefaultSampler
from mmengine.dist import get_world_size
from mmengine.evaluator import Evaluator
from mmengine.fileio import dump, get_local_path
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.utils import track_iter_progress


class FirstImages(DefaultSampler):
    """Sampler of the first images of a dataset, divided among the processes.

    Args:
        dataset (Sized): The dataset.
        num_images (int): Number of images; at most all of them are used.
        seed (int, optional): Not used, since nothing is random.
    """

    def __init__(
        self, dataset: Sized, num_images: int, seed: Optional[int] = None
    ) -> None:
        super().__init__(range(min(num_images, len(dataset))), shuffle=False, seed=0)


@torch.no_grad()
def evaluate(
    model: BaseModel,
    dataloader: dict,
    evaluator: Union[dict, list],
    num_images: Optional[int] = None,
) -> tuple[dict[str, float], int]:
    """Compute the metrics of a model.

    Args:
        model (BaseModel): Model in eval mode, on its device.
        dataloader (dict): Config of the data loader, such as ``val_dataloader``.
        evaluator (dict | list[dict]): Config of the metrics, such as
            ``val_evaluator``.
        num_images (int, optional): Evaluates only this number of first images.

    Returns:
        tuple[dict[str, float], int]: The metrics, and the number of images.
    """
    dataloader, evaluator = copy.deepcopy((dataloader, evaluator))
    metrics = evaluator if isinstance(evaluator, list) else [evaluator]
    if num_images is not None:
        dataloader['sampler'] = dict(type=FirstImages, num_images=num_images)
    loader = Runner.build_dataloader(dataloader)
    dataset = loader.dataset
    count = min(len(dataset), num_images or len(dataset))
    with tempfile.TemporaryDirectory() as folder:
        with_files = [metric for metric in metrics if metric.get('ann_file')]
        if count < len(dataset) and with_files:
            # otherwise objects in all other images would count as missed
            images = {dataset.get_data_info(i)['img_id'] for i in range(count)}
            for i, metric in enumerate(with_files):
                # two files of one name may come from two folders
                path = osp.join(folder, f'{i}_{osp.basename(metric["ann_file"])}')
                _write_annotations_of(images, metric['ann_file'], path)
                metric['ann_file'] = path
        evaluation = Evaluator(metrics)
        evaluation.dataset_meta = dataset.metainfo
        shown = 0
        for batch in track_iter_progress((iter(loader), len(loader))):
            outputs = model.val_step(batch)
            evaluation.process(data_samples=outputs, data_batch=batch)
            shown += len(outputs)
        # processes repeat images if the number is no multiple of the world size
        count = min(count, shown * get_world_size())
        return evaluation.evaluate(count), count


def _write_annotations_of(images: set, ann_file: str, target: str) -> None:
    """Write a COCO file with only the given images of another one."""
    # imported late, since importing this package must not import mmcv.ops
    from mmdet.datasets.api_wrappers import COCO

    with get_local_path(ann_file) as path:
        coco = COCO(path).dataset
    coco['images'] = [i for i in coco['images'] if i['id'] in images]
    coco['annotations'] = [a for a in coco['annotations'] if a['image_id'] in images]
    dump(coco, target)


def main_metric(metrics: dict[str, float]) -> float:
    """Return the box AP, else the top-1 accuracy, else PQ, from 0 to 1.

    Without any of these, the first metric is returned as it is, and 0 without metrics:
    mmdet computes none at all if nothing was detected.
    """
    for ending, whole in (('bbox_mAP', 1), ('accuracy/top1', 100), ('/PQ', 100)):
        for name, value in metrics.items():
            if name.endswith(ending):
                return value / whole
    return next(iter(metrics.values()), 0.0)
