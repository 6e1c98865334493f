"""Top-k accuracy."""

from collections.abc import Sequence
from typing import Any

from mmdet.registry import METRICS
from mmengine.evaluator import BaseMetric


@METRICS.register_module()
class Accuracy(BaseMetric):
    """Share of images whose class is among the k most likely ones, in percent.

    Args:
        topk (Sequence[int]): Each k gives one figure, such as ``accuracy/top1``.
        **kwargs: They are handed to :class:`mmengine.evaluator.BaseMetric`.
    """

    default_prefix = 'accuracy'

    def __init__(self, topk: Sequence[int] = (1, 5), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.topk = topk

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        for sample in data_samples:
            scores = sample['pred_scores']
            # ahead of the right class, or level with it
            self.results.append(int((scores >= scores[sample['gt_label']]).sum()))

    def compute_metrics(self, results: list) -> dict[str, float]:
        return {
            f'top{k}': 100 * sum(rank <= k for rank in results) / len(results)
            for k in self.topk
        }
