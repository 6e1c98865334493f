"""Compares several models, with pictures side by side."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from mmdet.structures.bbox import get_box_tensor
from mmengine.structures import InstanceData

from .masks import draw_masks
from .palette import class_colors

# names of classes are no formulas, whatever dollars they have
_plain_text = rc_context({'text.parse_math': False})


@_plain_text
def draw_comparison(
    images: Sequence[np.ndarray],
    columns: Mapping[str, Sequence[InstanceData]],
    dataset_meta: dict,
    out_file: str,
) -> None:
    """Draw a page with a row per image and a column per detector.

    mmdet's visualizer is not used, since its labels are too small on a page of many
    small images. The legend shows the classes that occur.

    Args:
        images (Sequence[ndarray]): RGB, (H, W, 3) of uint8.
        columns (Mapping[str, Sequence[InstanceData]]): The title of each column
            and its boxes, one InstanceData per image: ``bboxes``, ``labels``
            and, but for the ground truth, ``scores``; of some detectors ``masks``,
            (H, W) of bool each. All of them are drawn.
        dataset_meta (dict): ``classes`` and, optionally, ``palette``.
        out_file (str): Picture to write.
    """
    classes = dataset_meta['classes']
    palette = dataset_meta.get('palette')
    colors = np.array(class_colors(len(classes), palette)) / 255
    shape = max(image.shape[0] / image.shape[1] for image in images)
    figure = Figure(
        figsize=(4.4 * len(columns), 4.4 * shape * len(images) + 1),
        layout='constrained',
    )
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(images), len(columns), squeeze=False)
    present: set[int] = set()
    for column, (title, detections) in enumerate(columns.items()):
        grid[0, column].set_title(title, fontsize=17, fontweight='bold')
        present.update(
            int(label) for instances in detections for label in instances.labels
        )
        for axes, image, instances in zip(grid[:, column], images, detections):
            axes.imshow(image)
            axes.set_axis_off()
            draw_masks(axes, instances, colors)
            _draw_boxes(axes, instances, classes, colors)
    figure.legend(
        handles=[
            Patch(color=colors[label], label=classes[label])
            for label in sorted(present)
        ],
        loc='outside lower center',
        ncols=8,
        fontsize=13,
        frameon=False,
    )
    figure.savefig(out_file, dpi=110, bbox_inches='tight')


def _draw_boxes(
    axes: Axes, instances: InstanceData, classes: Sequence[str], colors: np.ndarray
) -> None:
    boxes = get_box_tensor(instances.bboxes).tolist()
    for index, (left, top, right, bottom) in enumerate(boxes):
        label = int(instances.labels[index])
        text = classes[label]
        if 'scores' in instances:
            text += f' {100 * float(instances.scores[index]):.0f}'
        axes.add_patch(
            Rectangle(
                (left, top),
                right - left,
                bottom - top,
                fill=False,
                edgecolor=colors[label],
                linewidth=2,
            )
        )
        # above the box, or inside it at the upper edge of the image
        above = top > 0.06 * axes.get_ylim()[0]
        axes.text(
            left,
            top,
            text,
            color='white',
            fontsize=8,
            fontweight='bold',
            verticalalignment='bottom' if above else 'top',
            clip_on=True,
            bbox=dict(facecolor=colors[label], edgecolor='none', pad=1.2),
        )


@_plain_text
def draw_labels(
    images: Sequence[np.ndarray],
    truth: Sequence[int],
    columns: Mapping[str, Sequence[int]],
    classes: Sequence[str],
    out_file: str,
) -> None:
    """Draw a page of small images, with the class that each classifier predicts.

    Args:
        images (Sequence[ndarray]): RGB, (H, W, 3) of uint8.
        truth (Sequence[int]): Class index of each image.
        columns (Mapping[str, Sequence[int]]): For each classifier's name, the class
            indices that it predicts; right ones are green, wrong ones red.
        classes (Sequence[str]): Names of the classes.
        out_file (str): Picture to write.
    """
    across = min(5, len(images))
    down = -(-len(images) // across)
    figure = Figure(figsize=(3 * across, 3.4 * down), layout='constrained')
    FigureCanvasAgg(figure)
    grid = figure.subplots(down, across, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for index, (axes, image) in enumerate(zip(grid.flat, images)):
        axes.imshow(image)
        axes.set_title(classes[truth[index]], fontsize=14, fontweight='bold')
        for line, (title, labels) in enumerate(columns.items()):
            axes.text(
                0.5,
                -0.04 - 0.1 * line,
                f'{title}: {classes[labels[index]]}',
                color='green' if labels[index] == truth[index] else 'red',
                transform=axes.transAxes,
                horizontalalignment='center',
                verticalalignment='top',
            )
    figure.savefig(out_file, dpi=110, bbox_inches='tight')
