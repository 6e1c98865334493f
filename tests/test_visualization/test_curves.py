"""Curves of runs."""

from mmreviewkd.visualization import plot_curves
from tests.support.logs import run_log, write_log

import cv2
from matplotlib.figure import Figure


def test_plot(tmp_path):
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


def test_one_validation_has_a_whole_epoch_below_it(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(Figure, 'savefig', lambda self, *a, **kw: figures.append(self))
    log = [dict(loss=2.0, epoch=1, step=1), {'coco/bbox_mAP': 0.25, 'step': 1}]
    plot_curves(dict(one=write_log(tmp_path, log)), str(tmp_path / 'curves.png'))
    for axes in figures[0].axes[:2]:
        left, right = axes.get_xlim()
        ticks = [tick for tick in axes.get_xticks() if left <= tick <= right]
        assert ticks == [1]


def test_the_axis_has_the_unit_of_the_logs(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(Figure, 'savefig', lambda self, *a, **kw: figures.append(self))
    runs = dict(
        steps=write_log(tmp_path / 'steps', [dict(loss=2.0, step=10)]),
        epochs=write_log(tmp_path / 'epochs', [dict(loss=2.0, epoch=1, step=10)]),
    )
    for names in (['steps'], ['epochs'], ['steps', 'epochs']):
        plot_curves({name: runs[name] for name in names}, 'curves.png')
    labels = [[axes.get_xlabel() for axes in figure.axes[:2]] for figure in figures]
    assert labels == [['iteration'] * 2, ['epoch'] * 2, ['epoch or iteration'] * 2]


def test_losses_of_all_methods_are_left_out(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(Figure, 'savefig', lambda self, *a, **kw: figures.append(self))
    entry = dict(loss=9.0, loss_review=2.0, loss_at=4.0, epoch=1, step=1)
    folder = write_log(tmp_path, [entry, {'coco/bbox_mAP': 0.25, 'step': 1}])
    (tmp_path / '20260101_000000' / 'vis_data' / 'config.py').write_text(
        "model = dict(methods=dict(at=dict(type='AttentionTransfer')))\n"
    )
    plot_curves(dict(one=folder), str(tmp_path / 'curves.png'))
    (line,) = figures[0].axes[0].lines
    assert list(line.get_ydata()) == [3.0]
