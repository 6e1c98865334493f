"""A 1x1 convolution and its BatchNorm as one linear map.

``BN(W x)`` is ``A x + b`` with ``A = s W`` and ``b = beta - s mean(W x)``, where
``s = gamma / std(W x)``. The statistics of ``W x`` over a batch follow from those of
``x``: the mean is ``W mean(x)``, and the variances are the diagonal of
``W cov(x) W^T``. So the map ``W x``, which has more channels than ``x`` on the large
levels of a classifier, is never normalised, nor kept for the gradient.
"""

from typing import Any

import torch
import torch.distributed as dist
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from ...compat.precision import in_float32


class BatchNorm(nn.BatchNorm2d):
    """BatchNorm2d that can train on a single image with a 1x1 map.

    A single value per channel has no batch statistics, and torch raises an error.
    Such a step normalises with the running statistics instead, as evaluation does.
    """

    num_batches_tracked: Tensor  # never None, since running statistics are kept
    running_mean: Tensor
    running_var: Tensor

    def forward(self, x: Tensor) -> Tensor:
        if self.training and x.numel() == self.num_features:
            return F.batch_norm(
                x,
                self.running_mean,
                self.running_var,
                self.weight,
                self.bias,
                False,
                0.0,
                self.eps,
            )
        return super().forward(x)


def fold(conv: nn.Conv2d, bn: BatchNorm, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``A`` and ``b`` such that ``A x + b`` is ``bn(conv(x))``.

    In training, the running statistics of ``bn`` are updated. They are those of all
    processes if it was converted to a SyncBatchNorm.

    Args:
        conv (nn.Conv2d): 1x1 convolution without bias.
        bn (BatchNorm): BatchNorm behind it.
        x (Tensor): Input of the convolution, (N, C, H, W).

    Returns:
        tuple[Tensor, Tensor]: ``A``, (C', C), and ``b``, (C', ), in float32 at least.
    """
    dtype = torch.promote_types(x.dtype, torch.float32)
    with torch.autocast(x.device.type, enabled=False):
        kernel = conv.weight.flatten(1).to(dtype)
        # with other processes there are more values, and all of them have to take part
        shared = (
            type(bn) is not BatchNorm
            and dist.is_initialized()
            and dist.get_world_size() > 1
        )
        if bn.training and (shared or x.numel() > x.size(1)):
            mean, covariance, count = _Moments.apply(x, shared)
            mean, var = kernel @ mean, ((kernel @ covariance) * kernel).sum(1)
            _update(bn, mean.detach(), var.detach() * (count / (count - 1)))
        else:
            mean, var = bn.running_mean.to(dtype), bn.running_var.to(dtype)
        scale = bn.weight * (var + bn.eps).rsqrt()
        return scale[:, None] * kernel, bn.bias - scale * mean


@torch.no_grad()
def _update(bn: BatchNorm, mean: Tensor, var: Tensor) -> None:
    assert bn.momentum is not None  # the constructor's default is a number
    bn.num_batches_tracked += 1
    bn.running_mean.lerp_(mean.to(bn.running_mean), bn.momentum)
    bn.running_var.lerp_(var.to(bn.running_var), bn.momentum)


class _Moments(torch.autograd.Function):
    """Mean, (C, ), and covariance, (C, C), over images and positions; their number."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, shared: bool) -> tuple[Tensor, Tensor, Tensor]:
        rows = in_float32(x.transpose(0, 1).flatten(1))
        number = rows.new_full((1,), rows.size(1))  # a new_tensor would wait for a copy
        total = torch.cat([rows.sum(1), number])
        if shared:
            dist.all_reduce(total)
        mean, count = total[:-1] / total[-1], total[-1]
        # the mean is subtracted first, since E[xx] - E[x]E[x] would cancel
        rows = rows - mean[:, None]
        covariance = (rows @ rows.t()) / count
        if shared:
            dist.all_reduce(covariance)
        ctx.save_for_backward(x, mean, count)
        ctx.shared = shared
        ctx.mark_non_differentiable(count)
        return mean, covariance, count

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_mean: Tensor, grad_covariance: Tensor, _: Tensor
    ) -> tuple[Tensor, None]:
        x, mean, count = ctx.saved_tensors
        both = torch.cat([grad_mean[:, None], grad_covariance], dim=1) / count
        if ctx.shared:
            dist.all_reduce(both)
        grad_mean, grad_covariance = both[:, 0], both[:, 1:]
        symmetric = grad_covariance + grad_covariance.t()
        constant = grad_mean - symmetric @ mean
        grad = project(symmetric.to(x.dtype), x.flatten(2))
        return grad.add_(constant.to(x.dtype)[:, None]).view_as(x), None


def project(weight: Tensor, x: Tensor) -> Tensor:
    """Apply a linear map at each position.

    Args:
        weight (Tensor): (C', C).
        x (Tensor): (N, C, positions).

    Returns:
        Tensor: (N, C', positions).
    """
    if x.size(2) == 1:  # one product for all images, not one for each
        return F.linear(x[..., 0], weight)[..., None]
    return torch.bmm(weight.expand(len(x), -1, -1), x)
