"""Metric of classifiers: top-k accuracy."""

from collections.abc import Sequence
from typing import Any

from mmdet.registry import METRICS
from mmengine.evaluator import BaseMetric


@METRICS.register_module()
class Accuracy(BaseMetric):
    """Percentage of images whose class is among the k most likely ones.

    Args:
        topk (Sequence[int]): Each k gives one metric, such as ``accuracy/top1``.
        **kwargs: Arguments of :class:`mmengine.evaluator.BaseMetric`.

    Examples:
        >>> metric = METRICS.build(dict(type='Accuracy', topk=(1, 2)))
        >>> scores = torch.tensor([0.2, 0.5, 0.3])
        >>> metric.process({}, [dict(pred_scores=scores, gt_label=2)])
        >>> metric.evaluate(size=1)
        {'accuracy/top1': 0.0, 'accuracy/top2': 100.0}
    """

    default_prefix = 'accuracy'

    def __init__(self, topk: Sequence[int] = (1, 5), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.topk = topk

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        for sample in data_samples:
            scores = sample['pred_scores']
            # rank of the right class: how many scores are at least as high, or nan
            lower = scores < scores[sample['gt_label']]
            self.results.append(int((~lower).sum()))

    def compute_metrics(self, results: list) -> dict[str, float]:
        return {
            f'top{k}': 100 * sum(rank <= k for rank in results) / len(results)
            for k in self.topk
        }
