"""ABF, the attention based fusion of one level."""

from collections import OrderedDict
from typing import Any, Optional

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from .folding import BatchNorm, fold, project


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
        weight, bias = fold(self.reduce.conv, self.reduce.bn, feature)
        if self.attention is not None:
            assert residual is not None  # only the deepest level has none
            x = _fuse(feature, residual, weight, bias, *self.attention.parameters())
        else:
            kernel = weight[..., None, None].to(feature)
            x = F.conv2d(feature, kernel, bias.to(feature))
            if residual is not None:  # the ablation without attention
                x = x + F.interpolate(residual, x.shape[-2:])
        if x.shape[-2:] != target_size:
            x = F.interpolate(x, target_size)
        return x

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
        weight, bias = fold(self.reduce.conv, self.reduce.bn, feature)
        queries = _queries(weight, bias, *self.attention.parameters())
        return attention_maps(feature, residual, *queries)


class _ConvBN(nn.Sequential):
    conv: nn.Conv2d
    bn: BatchNorm


def _conv_bn(in_channels: int, out_channels: int, kernel_size: int) -> _ConvBN:
    conv = nn.Conv2d(
        in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False
    )
    nn.init.kaiming_uniform_(conv.weight, a=1)
    return _ConvBN(OrderedDict(conv=conv, bn=BatchNorm(out_channels)))


def _queries(
    weight: Tensor, bias: Tensor, attention_weight: Tensor, attention_bias: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the attention's convolution as maps of the feature and of the residual.

    A 1x1 convolution over the concatenation of ``weight x + bias`` and the residual is
    the sum of one for each, and the first is a linear map of the feature ``x``.

    Args:
        weight (Tensor): (C_mid, C_in), from :func:`fold`.
        bias (Tensor): (C_mid, ), from :func:`fold`.
        attention_weight (Tensor): (2, 2 * C_mid, 1, 1).
        attention_bias (Tensor): (2, ).

    Returns:
        tuple[Tensor, Tensor, Tensor]: Map of the feature, (2, C_in), its bias, (2, ),
        and map of the residual, (2, C_mid).
    """
    with torch.autocast(weight.device.type, enabled=False):
        own, deeper = attention_weight.to(weight.dtype).flatten(1).chunk(2, dim=1)
        return own @ weight, own @ bias + attention_bias, deeper


def _fuse(
    feature: Tensor,
    residual: Tensor,
    weight: Tensor,
    bias: Tensor,
    attention_weight: Tensor,
    attention_bias: Tensor,
) -> Tensor:
    queries = _queries(weight, bias, attention_weight, attention_bias)
    # autocast does not know the operator below; an empty product tells its dtype
    empty = feature.new_empty(0, 0)
    dtype = (empty @ empty).dtype
    feature = feature.contiguous()
    residual = residual.contiguous(memory_format=torch.channels_last)
    tensors = (feature, residual, weight, bias, *queries)
    with torch.autocast(feature.device.type, enabled=False):
        return _Fusion.apply(*(tensor.to(dtype) for tensor in tensors))


def attention_maps(
    x: Tensor, residual: Tensor, query: Tensor, query_bias: Tensor, deeper: Tensor
) -> Tensor:
    """Compute how much of a level's own feature and of the residual passes through.

    Nearest upsampling commutes with the residual's linear map, which therefore runs
    at the residual's size.

    Args:
        x (Tensor): The level's own feature, (N, C, H, W).
        residual (Tensor): Residual of the deeper level, (N, C_mid, H', W').
        query (Tensor): (2, C), from :func:`_queries`.
        query_bias (Tensor): (2, ), from :func:`_queries`.
        deeper (Tensor): (2, C_mid), from :func:`_queries`.

    Returns:
        Tensor: (N, 2, H, W), after the sigmoid.
    """
    coarse = (residual.movedim(1, -1) @ deeper.t()).movedim(-1, 1)
    logits = project(query, x.flatten(2)).unflatten(2, x.shape[-2:])
    logits += F.interpolate(coarse, x.shape[-2:])
    return logits.add_(query_bias[:, None, None]).sigmoid_()


class _Fusion(torch.autograd.Function):
    """Compute ``(weight x + bias) * a[:, 0] + up(residual) * a[:, 1]``.

    ``a`` are the :func:`attention_maps`. Since ``weight`` is linear, its input is
    multiplied by the attention, and not its output, which may have several times the
    channels. Only the two inputs and the attention are kept for the backward pass.

    The residual and the result are channels_last, in which upsampling and the 3x3
    convolution take less time on the CPU, some a tenth. The feature ``x`` is
    contiguous, as it comes; the products with ``weight`` convert without a copy.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        residual: Tensor,
        weight: Tensor,
        bias: Tensor,
        query: Tensor,
        query_bias: Tensor,
        deeper: Tensor,
    ) -> Tensor:
        attention = attention_maps(x, residual, query, query_bias, deeper)
        ctx.save_for_backward(x, residual, weight, bias, query, deeper, attention)
        own, other = attention.split(1, dim=1)
        fused = _upsample(residual, x.shape[-2:]).mul_(other)
        fused.addcmul_(own, bias[:, None, None])
        _cells(fused).baddbmm_((x * own).flatten(2).mT, _for_each(weight.t(), x))
        return fused

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        x, residual, weight, bias, query, deeper, attention = ctx.saved_tensors
        size, coarse_size = x.shape[-2:], residual.shape[-2:]
        own, other = attention.split(1, dim=1)
        grad = grad.contiguous(memory_format=torch.channels_last)
        cells = _cells(grad)

        grad_x = torch.bmm(_for_each(weight.t(), x), cells.mT).view_as(x)
        grad_own = (grad_x * x).sum(1) + (cells @ bias).view_as(own[:, 0])
        grad_weight = torch.bmm((x * own).flatten(2), cells).sum(0).t()
        grad_x *= own

        # the gradient of nearest upsampling sums over blocks of cells
        def down(values: Tensor) -> Tensor:
            return torch.ops.aten.upsample_nearest2d_backward(
                values, size, (*values.shape[:2], *coarse_size)
            )

        # All products use one full-size buffer in turn: new memory of this size
        # costs more than the arithmetic.
        product = _upsample(residual, size).mul_(grad)
        grad_other = product.sum(1)
        grad_residual = down(torch.mul(grad, other, out=product))
        grad_bias = torch.mul(grad, own, out=product).sum((0, 2, 3))

        grad_logits = torch.stack([grad_own, grad_other], dim=1)
        grad_logits *= attention * (1 - attention)
        coarse = down(grad_logits).movedim(1, -1)
        grad_logits = grad_logits.flatten(2)
        grad_x.flatten(2).baddbmm_(_for_each(query.t(), x), grad_logits)
        grad_residual += (coarse @ deeper).movedim(-1, 1)
        return (
            grad_x,
            grad_residual,
            grad_weight,
            grad_bias,
            torch.bmm(grad_logits, x.flatten(2).mT).sum(0),
            grad_logits.sum((0, 2)),
            coarse.flatten(0, 2).t() @ residual.movedim(1, -1).flatten(0, 2),
        )


def _upsample(values: Tensor, size: torch.Size) -> Tensor:
    # a single cell is contiguous and channels_last at once, and either may come out
    upsampled = F.interpolate(values, size)
    return upsampled.contiguous(memory_format=torch.channels_last)


def _cells(values: Tensor) -> Tensor:
    """View channels_last maps, (N, C, H, W), as (N, H * W, C)."""
    return values.movedim(1, -1).flatten(1, 2)


def _for_each(weight: Tensor, images: Tensor) -> Tensor:
    return weight.expand(len(images), -1, -1)
