"""Loss and score by epoch, drawn from the logs of runs."""

import glob
import os.path as osp

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from mmengine.config import Config

from ..logs import epoch_means, read_scalars, unit_of


def _methods_of(work_dir: str) -> set[str]:
    """Names of the methods that a run learns by, which its log does not tell apart."""
    methods = {'review', 'logits'}
    pattern = osp.join(glob.escape(work_dir), '*', 'vis_data', 'config.py')
    for path in sorted(glob.glob(pattern)):
        config = Config.fromfile(path, import_custom_modules=False)
        methods.update(config.get('model', {}).get('methods') or ())
    return methods


def plot_curves(
    runs: dict[str, str],
    out_file: str,
    metric: str = 'coco/bbox_mAP',
    percent: float = 100.0,
    labels: tuple[str, str] = ('detection loss', 'AP'),
) -> None:
    """Plot loss and score of several runs, side by side.

    The review loss of a distilled run is drawn apart, on an axis of its own,
    and the losses of other methods not at all, so that the students' own losses
    compare. If :class:`ReviewGradientHook` has logged how strongly the review pulls at
    the student's features, a third panel shows it.

    Args:
        runs (dict[str, str]): Folder of each run, by the name to show.
        out_file (str): Picture to write.
        metric (str): Key of the score in the logs.
        percent (float): Factor that turns the score into percent.
        labels (tuple[str, str]): Labels of loss and score.
    """
    logs = {name: read_scalars(work_dir) for name, work_dir in runs.items()}
    measured = any('review_gradient' in entry for log in logs.values() for entry in log)
    panels = 3 if measured else 2
    figure = Figure(figsize=(6 * panels, 4.5), layout='constrained')
    FigureCanvasAgg(figure)
    losses, scores, *pulls = figure.subplots(1, panels)
    # with large features it is many times as large as the student's own loss
    reviews = losses.twinx()
    for number, (name, work_dir) in enumerate(runs.items()):
        entries = logs[name]
        style = dict(color=f'C{number}', marker='o', markersize=4)
        epochs, loss = epoch_means(entries, 'loss')
        reviewed, review = epoch_means(entries, 'loss_review')
        for method in _methods_of(work_dir):
            added = dict(zip(*epoch_means(entries, f'loss_{method}')))
            loss = [value - added.get(epoch, 0) for epoch, value in zip(epochs, loss)]
        if reviewed:
            reviews.plot(reviewed, review, linestyle='--', **style)
        losses.plot(epochs, loss, label=name, **style)
        epochs, score = epoch_means(entries, metric)
        scores.plot(epochs, percent * np.array(score), label=name, **style)
        for axes in pulls:
            axes.plot(*epoch_means(entries, 'review_gradient'), **style)
    losses.set(title='Training', ylabel=f'{labels[0]} (solid)')
    reviews.set(ylabel='review loss (dashed)', ylim=(0, None))
    reviews.set_visible(bool(reviews.lines))
    scores.set(title='Validation', ylabel=f'{labels[1]} (%)', ylim=(0, None))
    for axes in pulls:
        axes.set(
            title="Gradient on the student's features",
            ylabel="review's, relative to the student's own loss",
            yscale='log',
        )
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:g}'))
    for axes in (losses, scores, *pulls):
        axes.set(xlabel=' or '.join(sorted(set(map(unit_of, logs.values())))))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(alpha=0.3)
    figure.legend(
        *losses.get_legend_handles_labels(),
        loc='outside lower center',
        ncols=4,
        frameon=False,
    )
    figure.savefig(out_file, dpi=120)
