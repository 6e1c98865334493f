"""Deformable convolution, with masks (DCNv2) and without.

mmcv hands the sizes of the convolution over by name, ``**sizes`` here, and
torchvision takes them in an order of its own.
"""

import torch
from torch import Tensor

from ..precision import in_float32

_SIZES = (
    *('dH', 'dW', 'padH', 'padW', 'dilationH', 'dilationW'),
    *('group', 'deformable_group'),
)
"""Names that mmcv gives version 1's strides, paddings, dilations and groups, in
torchvision's order."""

_MODULATED_SIZES = (
    *('stride_h', 'stride_w', 'pad_h', 'pad_w', 'dilation_h', 'dilation_w'),
    *('group', 'deformable_group'),
)
"""The names that it gives those of version 2."""


def deform_conv_forward(
    input: Tensor,
    weight: Tensor,
    offset: Tensor,
    output: Tensor,
    columns: Tensor,
    ones: Tensor,
    **sizes: int,
) -> None:
    """Deformable convolution v1 (arXiv 1703.06211), without bias."""
    tensors = _with_mask_and_bias(*map(in_float32, (input, weight, offset)))
    in_order = [sizes[name] for name in _SIZES]
    output.copy_(torch.ops.torchvision.deform_conv2d(*tensors, *in_order, False))


def deform_conv_backward_input(
    input: Tensor,
    offset: Tensor,
    grad_output: Tensor,
    grad_input: Tensor,
    grad_offset: Tensor,
    weight: Tensor,
    columns: Tensor,
    **sizes: int,
) -> None:
    """Gradients of :func:`deform_conv_forward` for input and offset."""
    grads = _deform_conv_backward(input, weight, offset, grad_output, sizes)
    grad_input.copy_(grads[0])
    grad_offset.copy_(grads[2])
    # mmcv requests the weight's gradient in a second call, and passes the same
    # scratch buffer. torchvision has just computed it, so it is kept there.
    columns.resize_(weight.shape).copy_(grads[1])


def deform_conv_backward_parameters(
    input: Tensor,
    offset: Tensor,
    grad_output: Tensor,
    grad_weight: Tensor,
    columns: Tensor,
    ones: Tensor,
    scale: float,
    **sizes: int,
) -> None:
    """Gradient of :func:`deform_conv_forward` with respect to the weight."""
    if columns.shape != grad_weight.shape:
        # only the weight needs a gradient, so the call above was left out
        grads = _deform_conv_backward(input, grad_weight, offset, grad_output, sizes)
        columns = grads[1]
    grad_weight.add_(columns, alpha=scale)


def _deform_conv_backward(
    input: Tensor,
    weight: Tensor,
    offset: Tensor,
    grad_output: Tensor,
    sizes: dict[str, int],
) -> tuple[Tensor, ...]:
    tensors = map(in_float32, (input, weight, offset))
    in_order = [sizes[name] for name in _SIZES]
    return torch.ops.torchvision._deform_conv2d_backward(
        in_float32(grad_output), *_with_mask_and_bias(*tensors), *in_order, False
    )


def _with_mask_and_bias(
    input: Tensor, weight: Tensor, offset: Tensor
) -> tuple[Tensor, ...]:
    """The tensors that torchvision takes, where version 1 has neither of the two."""
    no_mask, no_bias = input.new_zeros(len(input), 1), input.new_zeros(len(weight))
    return input, weight, offset, no_mask, no_bias


def modulated_deform_conv_forward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    output: Tensor,
    columns: Tensor,
    with_bias: bool,
    **sizes: int,
) -> None:
    """Deformable convolution v2 (arXiv 1811.11168)."""
    input, weight, bias, offset, mask = map(
        in_float32, (input, weight, bias, offset, mask)
    )
    if not with_bias:
        bias = input.new_zeros(len(weight))
    offset, mask = (_as_mmcv_reads(x, output) for x in (offset, mask))
    in_order = [sizes[name] for name in _MODULATED_SIZES]
    output.copy_(
        torch.ops.torchvision.deform_conv2d(
            input, weight, offset, mask, bias, *in_order, True
        )
    )


def modulated_deform_conv_backward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    columns: Tensor,
    grad_input: Tensor,
    grad_weight: Tensor,
    grad_bias: Tensor,
    grad_offset: Tensor,
    grad_mask: Tensor,
    grad_output: Tensor,
    with_bias: bool,
    **sizes: int,
) -> None:
    """Gradients of :func:`modulated_deform_conv_forward`."""
    input, weight, bias, offset, mask, grad_output = map(
        in_float32, (input, weight, bias, offset, mask, grad_output)
    )
    if not with_bias:
        bias = input.new_zeros(len(weight))
    offset, mask = (_as_mmcv_reads(x, grad_output) for x in (offset, mask))
    in_order = [sizes[name] for name in _MODULATED_SIZES]
    grads = torch.ops.torchvision._deform_conv2d_backward(
        grad_output, input, weight, offset, mask, bias, *in_order, True
    )
    for target, grad in zip((grad_input, grad_weight), grads):
        target.copy_(grad)
    for target, grad in zip((grad_offset, grad_mask), grads[2:]):
        # zeros for values that mmcv does not read
        flat = torch.zeros_like(target).flatten(1)
        flat[:, : grad[0].numel()] = grad.flatten(1)
        target.copy_(flat.view(target.shape))
    if with_bias:
        grad_bias.copy_(grads[4])


def _as_mmcv_reads(values: Tensor, output: Tensor) -> Tensor:
    """Return offsets or masks, (N, C, h, w), one for each cell of the output.

    mmcv reads each image's values as if they were laid out in the output's size.
    DyHead passes more values than that for a level of half their size, which
    torchvision would refuse.
    """
    if values.shape[-2:] == output.shape[-2:]:
        return values
    cells = output.size(2) * output.size(3)
    return values.flatten(1)[:, : values.size(1) * cells].view(
        *values.shape[:2], *output.shape[-2:]
    )
