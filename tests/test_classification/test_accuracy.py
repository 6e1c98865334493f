"""Top-k accuracy."""

import pytest
import torch
from mmdet.registry import METRICS


def test_accuracy():
    metric = METRICS.build(dict(type='Accuracy', topk=(1, 2)))
    scores = torch.tensor([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2], [0.2, 0.3, 0.5]])
    metric.process(
        None,
        [dict(pred_scores=s, gt_label=label) for s, label in zip(scores, (1, 1, 0))],
    )
    assert metric.evaluate(3) == {
        'accuracy/top1': pytest.approx(100 / 3),
        'accuracy/top2': pytest.approx(200 / 3),
    }


def test_scores_that_are_not_numbers_are_never_right():
    metric = METRICS.build(dict(type='Accuracy', topk=(1, 2)))
    scores = torch.full((3,), torch.nan)
    metric.process(None, [dict(pred_scores=scores, gt_label=label) for label in (0, 2)])
    assert metric.evaluate(2) == {'accuracy/top1': 0.0, 'accuracy/top2': 0.0}
