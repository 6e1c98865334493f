"""ABF, the attention based fusion of one level."""

from collections import OrderedDict
from contextlib import nullcontext
from typing import Any, Callable, Optional

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

_is_compiling = getattr(torch.compiler, 'is_compiling', lambda: False)
"""torch has it since 2.3; before that, torch.compile cannot compile the review."""


class ABF(nn.Module):
    """Attention based fusion of one level (arXiv 2104.09044, section 3.2).

    Args:
        in_channels (int): Channels of the student's feature.
        mid_channels (int): Channels of the residual passed between levels.
        out_channels (int): Channels of the teacher's feature.
        with_residual (bool): Whether the level receives the residual of a deeper
            one. Every level does except the deepest.

    Examples:
        >>> abf = ABF(8, mid_channels=16, out_channels=32, with_residual=True)
        >>> feature, deeper = torch.rand(2, 8, 14, 14), torch.rand(2, 16, 7, 7)
        >>> residual = abf.fuse(feature, deeper, target_size=(14, 14))
        >>> residual.shape, abf.output(residual).shape
        (torch.Size([2, 16, 14, 14]), torch.Size([2, 32, 14, 14]))
    """

    def __init__(
        self,
        in_channels: int,
        mid_channels: int,
        out_channels: int,
        with_residual: bool,
    ) -> None:
        super().__init__()
        self.reduce = _conv_bn(in_channels, mid_channels, 1)
        self.attention = (
            nn.Sequential(OrderedDict(conv=nn.Conv2d(2 * mid_channels, 2, 1)))
            if with_residual
            else None
        )
        self.output = _conv_bn(mid_channels, out_channels, 3)

    def fuse(
        self, feature: Tensor, residual: Optional[Tensor], target_size: tuple[int, int]
    ) -> Tensor:
        """Compute the residual, for the next shallower level and for ``self.output``.

        Args:
            feature (Tensor): Student feature, (N, C_in, H, W).
            residual (Tensor, optional): Residual of the next deeper level,
                (N, C_mid, H', W'); None at the deepest level.
            target_size (tuple[int, int]): Height and width of the teacher's
                feature.

        Returns:
            Tensor: (N, C_mid, *target_size).
        """

        def run(feature: Tensor, residual: Optional[Tensor]) -> Tensor:
            x = self.reduce(feature)
            if self.attention is not None:
                x = _AttentionFusion.apply(x, residual, *self.attention.parameters())
            elif residual is not None:  # the ablation without attention
                x = x + F.interpolate(residual, x.shape[-2:])
            if x.shape[-2:] != target_size:
                x = F.interpolate(x, target_size)
            return x

        return recompute(run, self.reduce.bn, feature, residual)

    def attend(self, feature: Tensor, residual: Optional[Tensor]) -> Optional[Tensor]:
        """Compute the attention maps of :meth:`fuse`, for visualization in eval mode.

        Args:
            feature (Tensor): Student feature, (N, C_in, H, W).
            residual (Tensor, optional): Residual of the next deeper level,
                (N, C_mid, H', W').

        Returns:
            Tensor | None: (N, 2, H, W); None for a level without attention.
        """
        if self.attention is None:
            return None
        assert residual is not None  # only the deepest level has none
        return attention_maps(
            self.reduce(feature), residual, *self.attention.parameters()
        )


class BatchNorm(nn.BatchNorm2d):
    """BatchNorm2d that can train on a single image with a 1x1 map.

    A single value per channel has no batch statistics, and torch raises an error.
    Such a step normalises with the running statistics instead, as evaluation does.
    """

    num_batches_tracked: Tensor  # never None, since running statistics are kept

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


class _ConvBN(nn.Sequential):
    conv: nn.Conv2d
    bn: BatchNorm


def _conv_bn(in_channels: int, out_channels: int, kernel_size: int) -> _ConvBN:
    conv = nn.Conv2d(
        in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False
    )
    nn.init.kaiming_uniform_(conv.weight, a=1)
    return _ConvBN(OrderedDict(conv=conv, bn=BatchNorm(out_channels)))


def recompute(
    function: Callable[..., Tensor], bn: BatchNorm, *args: Optional[Tensor]
) -> Tensor:
    """Run ``function`` now, and once more during the backward pass.

    A 1x1 convolution, a BatchNorm and a few elementwise steps would keep several
    full-size maps per level for their gradients. Recomputing these maps costs a few
    percent of the time of the 3x3 convolution.

    Args:
        function (Callable): Maps tensors to a tensor.
        bn (BatchNorm): The BatchNorm that ``function`` runs. Its statistics
            are not updated a second time.
        *args (Tensor | None): Arguments of ``function``.
    """
    if _is_compiling():
        return function(*args)  # the compiler itself decides what to recompute
    return checkpoint(
        function,
        *args,
        use_reentrant=False,
        preserve_rng_state=False,
        context_fn=lambda: (nullcontext(), _KeptStatistics(bn)),
    )


class _KeptStatistics:
    """Context in which a BatchNorm does not change its statistics.

    It is entered in each backward pass, so several times if the graph is retained.
    """

    def __init__(self, bn: BatchNorm) -> None:
        self.bn = bn

    def __enter__(self) -> None:
        self.momentum = self.bn.momentum
        self.batches = self.bn.num_batches_tracked.clone()
        self.bn.momentum = 0.0

    def __exit__(self, *exc_info: object) -> None:
        self.bn.momentum = self.momentum
        self.bn.num_batches_tracked.copy_(self.batches)


def attention_maps(x: Tensor, residual: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Compute ``sigmoid(conv([x, up(residual)]))``, how much of each passes through.

    A 1x1 convolution over a concatenation is the sum of one convolution for each
    part, and nearest upsampling commutes with it. So nothing is concatenated, and
    the residual's convolution runs at the residual's size.

    Args:
        x (Tensor): The level's own feature, (N, C, H, W).
        residual (Tensor): Residual of the deeper level, (N, C, H', W').
        weight (Tensor): (2, 2C, 1, 1); the first C input channels belong to ``x``.
        bias (Tensor): (2, ).

    Returns:
        Tensor: (N, 2, H, W), the attention to ``x`` and to ``residual``.
    """
    weight_x, weight_residual = weight.to(x.dtype).chunk(2, dim=1)
    attention = F.conv2d(x, weight_x, bias.to(x.dtype))
    attention += F.interpolate(F.conv2d(residual, weight_residual), x.shape[-2:])
    return attention.sigmoid_()


class _AttentionFusion(torch.autograd.Function):
    """Compute ``x * a[:, 0] + up(r) * a[:, 1]`` with ``a = attention_maps(x, r, ...)``.

    Neither the upsampled residual nor the products are kept for the backward
    pass. ``apply`` takes the arguments of :func:`attention_maps`.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, residual: Tensor, weight: Tensor, bias: Tensor
    ) -> Tensor:
        attention = attention_maps(x, residual, weight, bias)
        ctx.save_for_backward(x, residual, weight, attention)
        fused = F.interpolate(residual, x.shape[-2:])
        fused *= attention[:, 1:]
        return fused.addcmul_(x, attention[:, :1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        x, residual, weight, attention = ctx.saved_tensors
        size, coarse_size = x.shape[-2:], residual.shape[-2:]

        # the gradient of nearest upsampling sums over blocks of cells
        def down(values: Tensor) -> Tensor:
            return torch.ops.aten.upsample_nearest2d_backward(
                values, size, (*values.shape[:2], *coarse_size)
            )

        # All products use one full-size buffer in turn, which becomes grad_x in
        # the end: new memory of this size costs more than the arithmetic.
        product = F.interpolate(residual, size).mul_(grad)
        grad_logits = product.new_empty(attention.shape)
        grad_logits[:, 1] = product.sum(1)
        grad_logits[:, 0] = torch.mul(grad, x, out=product).sum(1)
        grad_logits *= attention * (1 - attention)
        grad_residual = down(torch.mul(grad, attention[:, 1:], out=product))
        grad_x = torch.mul(grad, attention[:, :1], out=product)

        # gradients of the two halves of the 1x1 convolution
        grad_halves = []
        for inputs, grad_inputs, logits, half in zip(
            (x, residual),
            (grad_x, grad_residual),
            (grad_logits, down(grad_logits)),
            weight.to(x.dtype).flatten(1).chunk(2, dim=1),
        ):
            logits = logits.flatten(2)
            grad_inputs.flatten(2).baddbmm_(half.t().expand(len(x), -1, -1), logits)
            grad_halves.append(
                torch.bmm(logits, inputs.flatten(2).transpose(1, 2)).sum(0)
            )
        grad_weight = torch.cat(grad_halves, dim=1).view_as(weight)
        return (
            grad_x,
            grad_residual,
            grad_weight.to(weight.dtype),
            grad_logits.sum((0, 2, 3)).to(weight.dtype),
        )
