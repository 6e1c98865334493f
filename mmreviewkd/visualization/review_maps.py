"""Shows what the review does to an image: attention and features of each level."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Optional

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from mmengine.model import BaseModel
from torch import Tensor

from ..models.adapters import adapter_of
from ..models.features import record

_COLUMNS = (
    'image',
    'student\nfeature',
    'attention to\nown feature',
    'attention to\ndeeper residual',
    'reviewed\nstudent feature',
    'teacher\nfeature',
)
_CAPTION = (
    'Features: mean square over channels; bright is strong. Reviewed and '
    'teacher share the scale of their row: the review draws the one to the '
    'other.\n'
    'Attention, 0 to 1: where it is bright, more of that feature goes into '
    'the reviewed one. A square is one cell of the map.'
)


class LevelMaps(NamedTuple):
    """Maps of the review of one image at one level.

    Arrays have the size of the image without padding, (H, W).

    Args:
        name (str): ``'stride 8'``, or ``'level 1'`` for classifiers.
        cells (tuple[int, int]): Height and width of the teacher's feature.
        student (ndarray): Energy of the student's feature.
        attention (ndarray, optional): Attention to the level's own feature and to
            the deeper residual, (2, H, W); None for a level without attention.
        reviewed (ndarray): Energy of the reviewed feature.
        teacher (ndarray): Energy of the teacher's feature.
    """

    name: str
    cells: tuple
    student: np.ndarray
    attention: Optional[np.ndarray]
    reviewed: np.ndarray
    teacher: np.ndarray


@torch.no_grad()
def review_maps(model: BaseModel, item: dict) -> list[LevelMaps]:
    """Compute the maps of the review of an image.

    Args:
        model (Distilled): Distilled student in eval mode.
        item (dict): ``inputs``, (3, H, W), and ``data_samples``, from a dataset
            or test pipeline.

    Returns:
        list[LevelMaps]: Maps of each level, shallow to deep.
    """
    adapter = adapter_of(model)
    batch = model.data_preprocessor(adapter.collate([item]))
    inputs, samples = batch['inputs'], batch['data_samples']
    height, width = item['inputs'].shape[-2:]

    def shown(maps: Tensor) -> np.ndarray:
        # Each cell is drawn at its place in the image, with an error of up to half
        # a cell if the level extends beyond the image. Padding is cut off.
        maps = F.interpolate(maps.float(), inputs.shape[-2:])
        return maps[0, :, :height, :width].cpu().numpy()

    distillation = model.distillation
    targets, _ = distillation.teacher(inputs, samples)
    with record(model, distillation.names) as features:
        adapter.extract(model, inputs)
    features, targets = distillation.matching(features, targets)
    targets = model.review.targets(targets)
    views = model.review.inspect(features, [t.shape[-2:] for t in targets])
    return [
        LevelMaps(
            name=distillation.match.names[i],
            cells=tuple(targets[i].shape[-2:]),
            student=shown(energy(features[i]))[0],
            attention=None if attention is None else shown(attention),
            reviewed=shown(energy(reviewed))[0],
            teacher=shown(energy(targets[i]))[0],
        )
        for i, (attention, reviewed) in enumerate(views)
    ]


def shown_image(model: BaseModel, item: dict) -> np.ndarray:
    """Return an item's image as the model sees it, RGB, (H, W, 3)."""
    return adapter_of(model).image(item['inputs'])


def energy(feature: Tensor) -> Tensor:
    """Mean square over the channels, (N, 1, H, W), of a feature (N, C, H, W)."""
    return feature.square().mean(1, keepdim=True)


def draw_review(image: np.ndarray, levels: Sequence[LevelMaps]) -> np.ndarray:
    """Draw a row per level, shallow to deep, with the image beside its maps.

    Args:
        image (ndarray): RGB, (H, W, 3) of uint8.
        levels (Sequence[LevelMaps]): Maps from :func:`review_maps`.

    Returns:
        ndarray: RGB, (H, W, 3) of uint8.
    """
    height = np.clip(2.3 * image.shape[0] / image.shape[1], 1.2, 4.6)
    figure = Figure(
        figsize=(2.75 * len(_COLUMNS), (height + 0.12) * len(levels) + 1.5),
        dpi=90,
        layout='constrained',
    )
    canvas = FigureCanvasAgg(figure)
    grid = figure.subplots(len(levels), len(_COLUMNS), squeeze=False)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
    for axes, title in zip(grid[0], _COLUMNS):
        axes.set_title(title, fontsize=15, fontweight='bold')
    for row, level in zip(grid, levels):
        without = (
            'deepest level:\nnothing to attend to'
            if level is levels[-1]
            else 'a fusion\nwithout attention'
        )
        _draw_level(row, image, level, without)
    figure.supxlabel(_CAPTION, fontsize=13)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _draw_level(
    row: Sequence[Axes], image: np.ndarray, level: LevelMaps, without: str
) -> None:
    row[0].imshow(image)
    row[0].set_ylabel(
        f'{level.name}\n{level.cells[0]} x {level.cells[1]} cells', fontsize=13
    )
    features = dict(cmap='viridis', vmin=0)
    _draw_maps(row[1:2], [level.student], vmax=level.student.max(), **features)
    together = max(level.reviewed.max(), level.teacher.max())
    _draw_maps(row[4:], [level.reviewed, level.teacher], vmax=together, **features)
    if level.attention is not None:
        _draw_maps(row[2:4], level.attention, vmin=0, vmax=1, cmap='magma')
        return
    for axes in row[2:4]:
        axes.set_frame_on(False)
        axes.text(
            0.5,
            0.5,
            without,
            color='gray',
            fontsize=12,
            transform=axes.transAxes,
            horizontalalignment='center',
            verticalalignment='center',
        )


def _draw_maps(row: Sequence[Axes], maps: Sequence[np.ndarray], **scale: Any) -> None:
    """Draw maps with a common colour scale, and its colour bar beside the last one."""
    for axes, values in zip(row, maps):
        drawn = axes.imshow(values, interpolation='nearest', **scale)
    bar = axes.figure.colorbar(drawn, ax=axes, fraction=0.05, pad=0.02)
    bar.locator.set_params(nbins=3)
    bar.ax.tick_params(labelsize=10)
