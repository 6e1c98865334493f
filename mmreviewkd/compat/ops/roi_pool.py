"""RoIAlign and RoIPool."""

import torch
from torch import Tensor

from ..precision import in_float32
from .unavailable import unavailable


def roi_align_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """RoIAlign (arXiv 1703.06870) of features (N, C, H, W) for RoIs (K, 5)."""
    if pool_mode == 0:
        unavailable('roi_align_forward with pool_mode="max"')
    input = in_float32(input)
    output.copy_(
        torch.ops.torchvision.roi_align(
            input,
            rois.to(input),
            spatial_scale,
            aligned_height,
            aligned_width,
            sampling_ratio,
            aligned,
        )
    )


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Gradient of :func:`roi_align_forward` with respect to its input."""
    grad_output = in_float32(grad_output)
    grad_input.copy_(
        torch.ops.torchvision._roi_align_backward(
            grad_output,
            rois.to(grad_output),
            spatial_scale,
            aligned_height,
            aligned_width,
            *grad_input.shape,
            sampling_ratio,
            aligned,
        )
    )


def roi_pool_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
) -> None:
    """RoIPool (arXiv 1504.08083) with mmcv's fractional bins.

    torchvision first rounds the RoI to whole cells, and mmcv does not, so that
    torchvision's kernel would give other values. Here the bins are computed as in
    mmcv, and the maxima with torch.
    """
    height, width = input.shape[-2:]
    rois = in_float32(rois)
    start = rois[:, 1:3] * spatial_scale
    size = (rois[:, 3:5] + 1) * spatial_scale - start

    def cells(axis: int, bins: int, limit: int) -> tuple[Tensor, Tensor]:
        """Return each bin's cells on one axis, (K, bins, largest bin), and a mask."""
        step = size[:, axis, None] / bins
        i = torch.arange(bins, device=rois.device, dtype=rois.dtype)
        first = (i * step + start[:, axis, None]).floor().clamp(0, limit)
        last = ((i + 1) * step + start[:, axis, None]).ceil().clamp(0, limit)
        # a malformed RoI has no cells, and its output stays zero
        last = torch.where((size > 0).all(1, keepdim=True), last, first)
        largest = int((last - first).max()) if last.numel() else 0
        index = first.long()[..., None] + torch.arange(largest, device=rois.device)
        return index.clamp(max=limit - 1), index < last[..., None]

    xs, x_valid = cells(0, pooled_width, width)
    ys, y_valid = cells(1, pooled_height, height)
    argmax.fill_(-1)
    for k, image in enumerate(rois[:, 0].long().tolist()):
        # shape: (vertical bins, horizontal bins, cells of the largest bin)
        index = ys[k, :, None, :, None] * width + xs[k, None, :, None, :]
        valid = y_valid[k, :, None, :, None] & x_valid[k, None, :, None, :]
        index, valid = index.flatten(2), valid.flatten(2)
        used = valid.any(-1)
        if not used.any():
            continue
        values = input[image].flatten(1)[:, index]
        values = values.masked_fill(~valid, -float('inf'))
        largest, position = values.max(-1)
        output[k] = largest.masked_fill(~used, 0)
        argmax[k] = (
            index.expand_as(values)
            .gather(-1, position[..., None])[..., 0]
            .masked_fill(~used, -1)
        )


def roi_pool_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax: Tensor,
    grad_input: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
) -> None:
    """Gradient of :func:`roi_pool_forward` with respect to its input."""
    flat = grad_input.flatten(2)
    for k, image in enumerate(rois[:, 0].long().tolist()):
        index = argmax[k].flatten(1).long()
        grad = grad_output[k].flatten(1) * (index >= 0)
        flat[image].scatter_add_(1, index.clamp(min=0), grad)
