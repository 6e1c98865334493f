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
            x = F.conv2d(feature, weight[..., None, None].to(feature), bias)
            if residual is not None:  # the ablation without attention
                x = x + _resize(residual, x.shape[-2:])
        if x.shape[-2:] != target_size:
            x = _resize(x, target_size)
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
    tensors = (feature, residual, weight, bias, *queries)
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
    logits = project(query, x.flatten(2)).unflatten(2, x.shape[-2:])
    coarse = project(deeper, residual.flatten(2)).unflatten(2, residual.shape[-2:])
    logits += _resize(coarse, x.shape[-2:])
    return logits.add_(query_bias[:, None, None]).sigmoid_()


def _resize(values: Tensor, size: tuple[int, int]) -> Tensor:
    """Copy maps, (N, C, H, W), at another size; each cell is the nearest one.

    On the CPU, ``interpolate`` converts maps of less than 64x64 cells to channels_last
    and back, which takes longer than to repeat columns and rows.
    """
    (height, width), (rows, columns) = values.shape[-2:], size
    if rows % height or columns % width:
        return F.interpolate(values, size)
    wide = values[..., None].expand(*values.shape, columns // width).flatten(3)
    resized = values.new_empty(*values.shape[:2], *size)
    resized.unflatten(2, (height, -1)).copy_(wide[:, :, :, None])
    return resized


def _sum_blocks(values: Tensor, size: tuple[int, int]) -> Tensor:
    """Compute the gradient of :func:`_resize`: the sum over the cells of each block."""
    return torch.ops.aten.upsample_nearest2d_backward(
        values, values.shape[-2:], (*values.shape[:2], *size)
    )


class _Fusion(torch.autograd.Function):
    """Compute ``(weight x + bias) * a[:, 0] + up(residual) * a[:, 1]``.

    ``a`` are the :func:`attention_maps`. Since ``weight`` is linear, its input is
    multiplied by the attention, and not its output, which may have several times the
    channels. Only the two inputs and the attention are kept for the backward pass.
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
        fused = _resize(residual, x.shape[-2:]).mul_(other)
        fused.addcmul_(own, bias[:, None, None])
        fused.flatten(2).baddbmm_(_for_each(weight, x), (x * own).flatten(2))
        return fused

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        x, residual, weight, bias, query, deeper, attention = ctx.saved_tensors
        size, coarse_size = x.shape[-2:], residual.shape[-2:]
        own, other = attention.split(1, dim=1)
        flat = grad.flatten(2)

        grad_x = project(weight.t(), flat).view_as(x)
        grad_own = (grad_x * x).sum(1) + project(bias[None], flat).view_as(own)[:, 0]
        grad_weight = _sum_of_products(flat, (x * own).flatten(2))
        grad_x *= own

        # All products use one full-size buffer in turn: new memory of this size
        # costs more than the arithmetic.
        product = _resize(residual, size).mul_(grad)
        grad_other = product.sum(1)
        grad_residual = _sum_blocks(torch.mul(grad, other, out=product), coarse_size)
        grad_bias = torch.mul(grad, own, out=product).sum((0, 2, 3))

        grad_logits = torch.stack([grad_own, grad_other], dim=1)
        grad_logits *= attention * (1 - attention)
        coarse = _sum_blocks(grad_logits, coarse_size).flatten(2)
        grad_logits = grad_logits.flatten(2)
        grad_x.flatten(2).baddbmm_(_for_each(query.t(), x), grad_logits)
        grad_residual.flatten(2).baddbmm_(_for_each(deeper.t(), x), coarse)
        return (
            grad_x,
            grad_residual,
            grad_weight,
            grad_bias,
            _sum_of_products(grad_logits, x.flatten(2)),
            grad_logits.sum((0, 2)),
            _sum_of_products(coarse, residual.flatten(2)),
        )


def _for_each(weight: Tensor, images: Tensor) -> Tensor:
    return weight.expand(len(images), -1, -1)


def _sum_of_products(grad: Tensor, inputs: Tensor) -> Tensor:
    """Gradient of a linear map at each position: (N, C', P), (N, C, P) to (C', C)."""
    return torch.bmm(grad, inputs.transpose(1, 2)).sum(0)
