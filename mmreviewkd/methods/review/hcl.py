"""HCL, the hierarchical context loss between two feature maps."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from ...compat.precision import in_float32

CONTEXTS = (4, 2, 1)
"""Side lengths, in cells, of the square grids that features are pooled to."""


def hcl_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Hierarchical context loss of one level (arXiv 2104.09044, section 3.3).

    The loss is a weighted mean of mean squared differences: at full size with
    weight 1, and after average pooling to 4x4, 2x2 and 1x1 cells with weights 1/2,
    1/4 and 1/8. A grid that is not smaller than the map's height is skipped, and
    the next grid takes its weight.

    Pooling is linear, so the difference is pooled instead of both features. The
    squares are taken in float32, since those of half precision overflow.

    Args:
        student (Tensor): Reviewed student feature, (N, C, H, W).
        teacher (Tensor): Teacher feature, (N, C, H, W); gets no gradient.

    Returns:
        Tensor: Scalar in float32, or float64 for float64 features.

    Raises:
        ValueError: The two shapes differ.

    Examples:
        >>> loss = hcl_loss(torch.ones(2, 16, 8, 8), torch.zeros(2, 16, 8, 8))
        >>> round(loss.item(), 4)
        1.0
    """
    if student.shape != teacher.shape:
        raise ValueError(
            f'student feature {tuple(student.shape)} and teacher '
            f'feature {tuple(teacher.shape)} differ in shape'
        )
    with torch.autocast(student.device.type, enabled=False):
        return _PooledSquares.apply(in_float32(student) - teacher.detach())


def l2_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference in float32, the baseline of HCL in the paper.

    Args:
        student (Tensor): Reviewed student feature, (N, C, H, W).
        teacher (Tensor): Teacher feature, (N, C, H, W); gets no gradient.

    Returns:
        Tensor: Scalar in float32, or float64 for float64 features.
    """
    student = in_float32(student)
    return F.mse_loss(student, teacher.detach().to(student))


class _PooledSquares(torch.autograd.Function):
    """The loss as a function of the difference, with its gradient built in one buffer.

    Autograd would keep the inputs of all squares and add up four full-size
    gradients, which would take most of the loss's time and memory. Average pooling of
    a map is ``rows @ map @ columns.T``. With the matrices of all grids one below the
    other, the map is read once for all grids, and so is its gradient written.

    Maps are channels_last here, as the reviewed features are.
    """

    @staticmethod
    def forward(ctx: Any, difference: Tensor) -> Tensor:
        sizes = [size for size in CONTEXTS if size < difference.size(2)]
        weights = [0.5**i for i in range(len(sizes) + 1)]
        ctx.full, *weights = (weight / sum(weights) for weight in weights)
        maps = difference.movedim(1, -1).contiguous()
        images, *extents, channels = maps.shape
        # a norm per row needs no full-size temporary, and keeps the sums short enough
        # for float32
        norms = torch.linalg.vector_norm(maps, dim=(2, 3))
        loss = ctx.full * norms.square().sum() / maps.numel()
        if not sizes:
            ctx.save_for_backward(maps)
            return loss
        rows, columns = (_averaging(extent, sizes, maps) for extent in extents)
        # the product pools to every combination of the grids; those on the diagonal
        # are the square ones
        cells = rows @ (columns @ maps).flatten(2)
        share = torch.block_diag(
            *(
                cells.new_full((size, size), weight / (size**2 * images * channels))
                for size, weight in zip(sizes, weights)
            )
        )
        weighted = cells * share.repeat_interleave(channels, dim=1)
        ctx.save_for_backward(maps, rows, columns, weighted)
        return loss + (weighted * cells).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_loss: Tensor) -> Tensor:
        maps, *pooled = ctx.saved_tensors
        full = ctx.full / maps.numel()
        if not pooled:
            return (maps * (2 * full * grad_loss)).movedim(-1, 1)
        rows, columns, weighted = pooled
        strips = (rows.t() @ weighted).unflatten(2, (len(columns), -1)).flatten(0, 1)
        grad = torch.baddbmm(
            maps.flatten(0, 1),
            columns.t().expand(len(strips), -1, -1),
            strips,
            beta=full,
        )
        return grad.mul_(2 * grad_loss).view_as(maps).movedim(-1, 1)


def _averaging(size: int, grids: Sequence[int], like: Tensor) -> Tensor:
    """Matrices of average pooling to grids, one below the other, (cells, size)."""
    unit = torch.eye(size, dtype=like.dtype, device=like.device)
    return torch.cat([F.adaptive_avg_pool1d(unit, cells) for cells in grids], 1).t()
