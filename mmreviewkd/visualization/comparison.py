"""Several detectors beside each other: pictures and a table."""
from typing import Dict, Sequence

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import get_box_tensor
from mmdet.visualization import DetLocalVisualizer
from mmengine.structures import InstanceData

# pixels of an image's longer side at least, so that labels are readable
_SIZE = 384


def draw_comparison(images: Sequence[np.ndarray],
                    columns: Dict[str, Sequence[InstanceData]],
                    dataset_meta: dict, out_file: str) -> None:
    """A page with a row per image and a column per detector.

    Args:
        images (Sequence[ndarray]): RGB, (H, W, 3) of uint8.
        columns (dict[str, Sequence[InstanceData]]): The title of each column
            and its boxes, one InstanceData per image: ``bboxes``, ``labels``
            and, but for the ground truth, ``scores``. All of them are drawn.
        dataset_meta (dict): ``classes`` and ``palette``.
        out_file (str): Picture to write.
    """
    visualizer = DetLocalVisualizer(line_width=2, alpha=1)
    visualizer.dataset_meta = dataset_meta
    figure = Figure(
        figsize=(3.4 * len(columns), 3.4 * len(images) + 0.8),
        layout='constrained')
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(images), len(columns), squeeze=False)
    for column, (title, detections) in enumerate(columns.items()):
        grid[0, column].set_title(title, fontsize=16, fontweight='bold')
        for axes, image, instances in zip(grid[:, column], images, detections):
            axes.imshow(_draw(visualizer, image, instances))
            axes.set_axis_off()
    figure.legend(
        handles=[
            Patch(color=np.array(color) / 255, label=name) for name, color in
            zip(dataset_meta['classes'], dataset_meta['palette'])
        ],
        loc='outside lower center',
        ncols=8,
        fontsize=13,
        frameon=False)
    figure.savefig(out_file, dpi=110)


def _draw(visualizer: DetLocalVisualizer, image: np.ndarray,
          instances: InstanceData) -> np.ndarray:
    factor = max(1, round(_SIZE / max(image.shape[:2])))
    image = cv2.resize(image, None, fx=factor, fy=factor)
    drawn = InstanceData(
        bboxes=get_box_tensor(instances.bboxes).cpu() * factor,
        labels=instances.labels.cpu())
    if 'scores' in instances:
        drawn.scores = instances.scores.cpu()
    # as ground truth, so that no threshold applies
    sample = DetDataSample(gt_instances=drawn)
    visualizer.add_datasample('', image, sample, draw_pred=False)
    return visualizer.get_image()


def markdown_table(rows: Sequence[dict]) -> str:
    """Rows with the same keys, which become the header, as Markdown.

    The first column is aligned to the left, the others to the right.
    """
    cells = [list(rows[0])] + [[str(value) for value in row.values()] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells)]
    lines = [
        '| ' + ' | '.join(
            text.rjust(width) if place else text.ljust(width)
            for place, (text, width) in enumerate(zip(line, widths))) + ' |'
        for line in cells
    ]
    rule = '|' + '|'.join('-' * (width + 1) + ('-:'[place > 0])
                          for place, width in enumerate(widths)) + '|'
    return '\n'.join([lines[0], rule, *lines[1:]])
