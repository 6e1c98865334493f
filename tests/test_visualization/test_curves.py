"""Curves of runs, read from their logs."""

import json

from mmreviewkd.errors import UserInputError
from mmreviewkd.visualization import (
    epoch_means,
    plot_curves,
    read_scalars,
)

import cv2
import pytest


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


class TestCurves:
    def test_epoch_means(self, tmp_path):
        entries = read_scalars(write_log(tmp_path, run_log()))
        assert epoch_means(entries, 'loss') == ([1, 2], [3.0, (4 / 3 + 1) / 2])
        assert epoch_means(entries, 'coco/bbox_mAP') == ([1, 2], [0.25, 0.5])
        assert epoch_means(entries, 'loss_review') == ([], [])

    def test_resumed_run(self, tmp_path):
        log = list(run_log())
        # killed while writing its third line; resumed from the second step
        write_log(tmp_path, [*log[:2], dict(loss=9.0, epoch=2, step=3), '{"loss": 1.'])
        write_log(tmp_path, log[2:], start='20260101_000500')
        whole = write_log(tmp_path / 'whole', log)
        assert read_scalars(str(tmp_path)) == read_scalars(whole)

    def test_no_log(self, tmp_path):
        with pytest.raises(UserInputError, match='no training log'):
            read_scalars(str(tmp_path))

    def test_plot(self, tmp_path):
        runs = dict(
            alone=write_log(tmp_path / 'alone', run_log()),
            distilled=write_log(tmp_path / 'distilled', run_log(review=True)),
        )
        plot_curves(runs, str(tmp_path / 'curves.png'))
        picture = cv2.imread(str(tmp_path / 'curves.png'))
        height, width = picture.shape[:2]
        assert width > 2 * height  # two panels
        # and there is something in each of them
        assert picture[:, : width // 2].std() > 1
        assert picture[:, width // 2 :].std() > 1
