"""Focal and global distillation, FGD (Yang et al., arXiv 2111.11837)."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn as nn
from mmdet.registry import MODELS
from torch import Tensor

from ..compat.precision import in_float32
from .align import AlignedMethod, squared_error
from .checks import check_numbers
from .method import Pair, View


class Attention(NamedTuple):
    """Attention of a feature to its positions, (N, H, W), and channels, (N, C)."""

    spatial: Tensor
    channel: Tensor


def attention(feature: Tensor, temperature: float) -> Attention:
    """Softmax of the mean magnitudes, times the number of positions or channels.

    Args:
        feature (Tensor): Feature, (N, C, H, W).
        temperature (float): Divides the mean magnitudes.

    Returns:
        Attention: The mean over all positions, and over all channels, is 1.
    """
    magnitude = in_float32(feature).abs()
    positions = magnitude.mean(1)
    spatial = (positions / temperature).flatten(1).softmax(1).view_as(positions)
    channel = (magnitude.mean((2, 3)) / temperature).softmax(1)
    return Attention(spatial * spatial[0].numel(), channel * channel.size(1))


def foreground_mask(
    boxes: Tensor, size: tuple[int, int], cell: tuple[float, float]
) -> Tensor:
    """Weigh the cells of a map by the boxes that cover them.

    A box covers the cells from its low edges, rounded down, to its high edges,
    rounded up, both inclusive, as published; it gives each of them the reciprocal of
    their number. Where boxes overlap, the smallest decides.

    Args:
        boxes (Tensor): Boxes of an image as x1, y1, x2, y2 in pixels, (boxes, 4).
        size (tuple[int, int]): Height and width of the map.
        cell (tuple[float, float]): Height and width of a cell in pixels.

    Returns:
        Tensor: (H, W); zeros where there is no box.
    """
    if not len(boxes):
        return boxes.new_zeros(size)
    (height, width), (step_y, step_x) = size, cell
    x1, y1, x2, y2 = boxes.unbind(1)
    left, right = (x1 / step_x).floor(), (x2 / step_x).ceil()
    top, bottom = (y1 / step_y).floor(), (y2 / step_y).ceil()
    # at least 1 for a box whose edges are exchanged, which covers nothing
    area = ((right - left + 1) * (bottom - top + 1)).clamp(min=1)
    column = torch.arange(width, device=boxes.device)
    row = torch.arange(height, device=boxes.device)
    in_columns = (column >= left[:, None]) & (column <= right[:, None])
    in_rows = (row >= top[:, None]) & (row <= bottom[:, None])
    covered = in_rows[:, :, None] & in_columns[:, None, :]
    return (covered / area[:, None, None]).amax(0)


def background_mask(foreground: Tensor) -> Tensor:
    """Weigh the cells that no box covers by the reciprocal of their number.

    Args:
        foreground (Tensor): Foreground masks of images, (N, H, W).

    Returns:
        Tensor: (N, H, W); zeros for an image that is full of boxes.
    """
    outside = (foreground == 0).to(foreground.dtype)
    return outside / outside.sum((1, 2), keepdim=True).clamp(min=1)


def attended_error(student: Tensor, teacher: Tensor, weights: Attention) -> Tensor:
    """Squared difference of two features, weighted by an attention.

    Args:
        student (Tensor): Feature, (N, C, H, W).
        teacher (Tensor): Feature of the same shape.
        weights (Attention): Attention of the teacher.

    Returns:
        Tensor: (N, H, W), summed over the channels.
    """
    error = (in_float32(student) - in_float32(teacher)).square()
    return (error * weights.channel[:, :, None, None]).sum(1) * weights.spatial


class GlobalContext(nn.Module):
    """GcBlock (arXiv 1904.11492): adds to each cell what all cells have in common.

    Args:
        channels (int): Channels of the feature.

    Examples:
        >>> block, feature = GlobalContext(8), torch.rand(2, 8, 4, 4)
        >>> torch.equal(block(feature), feature)  # it adds nothing at the start
        True
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(channels // 2, 1)
        self.mask = nn.Conv2d(channels, 1, 1)
        self.transform = nn.Sequential(
            nn.Conv2d(channels, hidden, 1),
            nn.LayerNorm([hidden, 1, 1]),
            nn.ReLU(),
            nn.Conv2d(hidden, channels, 1),
        )
        nn.init.kaiming_normal_(self.mask.weight, nonlinearity='relu')
        zeros = self.mask.get_parameter('bias'), *self.transform[-1].parameters()
        for zero in zeros:
            nn.init.zeros_(zero)

    def forward(self, feature: Tensor) -> Tensor:
        share = self.mask(feature).flatten(2).softmax(2)
        context = feature.flatten(2) @ share.transpose(1, 2).to(feature.dtype)
        return feature + self.transform(context.unsqueeze(3))


@MODELS.register_module()
class FGD(AlignedMethod):
    """Focal distillation, objects apart from background, and global distillation.

    ::

        foreground * sum(object mask     * A_t * B_t * (t - s)^2) / N
      + background * sum(background mask * A_t * B_t * (t - s)^2) / N
      + attention * (sum |A_t - A_s| + sum |B_t - B_s|) / N
      + relation * sum((G_t(t) - G_s(s))^2) / N

    is summed over the levels (arXiv 2111.11837). The features of teacher and student
    are t and s; A and B are their :func:`attention` to positions and to channels, and
    the masks are :func:`foreground_mask` and :func:`background_mask`. G is a
    :class:`GlobalContext`, one for each of the two models; both are trained.

    The defaults are those published for RetinaNet and GFL, on all levels, and for SOLO,
    on four; for Faster and Mask R-CNN, on strides 4 to 32, they are 5e-5, 2.5e-5, 5e-5
    and 5e-7.
    Gradients are clipped to norm 35. The terms are summed over channels and cells, as
    published, not averaged: the weights are for 256 channels and images of about
    800x1333 pixels, and for others the loss has another size beside the student's
    own. They are summed in float32.

    Two faults of the authors' code are not repeated. It scales boxes by the image
    without its padding but the map with it, so that its masks are shifted in a batch
    that is padded; here a cell is as many pixels as the level's stride. And until
    January 2022 it used x for the rows of a map and y for its columns, so that its
    masks were mirrored at the diagonal. Which code the published figures are of is not
    known; results may differ from them.

    Args:
        pair (Pair): The student and the teacher.
        weight (float): Weight of the whole loss.
        foreground (float): Weight of the objects, the paper's alpha.
        background (float): Weight of the background, the paper's beta.
        attention (float): Weight of the attention, the paper's gamma.
        relation (float): Weight of the global part, the paper's lambda.
        temperature (float): Divides the magnitudes in :func:`attention`.

    Raises:
        UserInputError: A weight or the temperature is no number, or too small.

    Examples:
        >>> method = FGD(Pair(['a'], [8], [8], strides=[4]))
        >>> boxes = [torch.tensor([[8.0, 8.0, 40.0, 24.0]]), torch.zeros(0, 4)]
        >>> student = View([torch.rand(2, 8, 16, 16)], boxes=boxes)
        >>> list(method.losses(student, View([torch.rand(2, 8, 16, 16)])))
        ['loss', 'foreground', 'background', 'attention', 'relation']
    """

    reads = ('features', 'boxes')

    def __init__(
        self,
        pair: Pair,
        weight: float = 1.0,
        foreground: float = 1e-3,
        background: float = 5e-4,
        attention: float = 5e-4,
        relation: float = 5e-6,
        temperature: float = 0.5,
    ) -> None:
        super().__init__(pair, weight)
        self.weights: dict[str, Any] = dict(
            foreground=foreground,
            background=background,
            attention=attention,
            relation=relation,
        )
        check_numbers('FGD', above=False, **self.weights)
        check_numbers('FGD', temperature=temperature)
        self.strides, self.temperature = pair.strides, temperature
        self.student_context, self.teacher_context = (
            nn.ModuleList(map(GlobalContext, pair.teacher_channels)) for _ in range(2)
        )

    def losses(self, student: View, teacher: View) -> dict[str, Tensor]:
        """Return the loss, and its four terms with their weights, which are logged."""
        levels = [
            self._terms(index, *pair, student)
            for index, pair in enumerate(self.aligned(student, teacher))
        ]
        sums = torch.stack([torch.stack(terms) for terms in levels]).sum(0)
        terms = {
            name: weight * term
            for (name, weight), term in zip(self.weights.items(), sums.unbind())
        }
        shown = {name: term.detach() for name, term in terms.items()}
        return dict(loss=torch.stack(list(terms.values())).sum(), **shown)

    def _terms(
        self, index: int, ours: Tensor, theirs: Tensor, student: View
    ) -> list[Tensor]:
        """The four terms of a level, without weights."""
        images, _, height, width = ours.shape
        stride, (rows, columns) = self.strides[index], student.features[index].shape[2:]
        # a cell is larger or smaller than the stride if the student's map was resized
        cell = stride * rows / height, stride * columns / width
        foreground = torch.stack(
            [foreground_mask(boxes, (height, width), cell) for boxes in student.boxes]
        )
        seen = attention(theirs, self.temperature)
        error = attended_error(ours, theirs, seen)
        different = [
            (a - b).abs().sum() / images
            for a, b in zip(attention(ours, self.temperature), seen)
        ]
        return [
            (foreground * error).sum() / images,
            (background_mask(foreground) * error).sum() / images,
            different[0] + different[1],
            squared_error(
                self.student_context[index](ours), self.teacher_context[index](theirs)
            ),
        ]
