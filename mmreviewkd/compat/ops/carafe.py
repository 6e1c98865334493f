"""CARAFE, content-aware upsampling (arXiv 1905.02188)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..precision import in_float32


def carafe_forward(
    features: Tensor,
    masks: Tensor,
    rfeatures: Tensor,
    routput: Tensor,
    rmasks: Tensor,
    output: Tensor,
    kernel_size: int,
    group_size: int,
    scale_factor: int,
) -> None:
    """Upsample features as weighted sums of patches (arXiv 1905.02188).

    Args:
        features (Tensor): (N, C, H, W).
        masks (Tensor): (N, groups * kernel ** 2, scale * H, scale * W).
        rfeatures (Tensor): Copy of ``features``, filled for the backward pass.
        routput (Tensor): Scratch memory, not used.
        rmasks (Tensor): Scratch memory, not used.
        output (Tensor): (N, C, scale * H, scale * W), filled.
        kernel_size (int): Side of the patch that is summed.
        group_size (int): Number of channel groups, each with its own masks.
        scale_factor (int): Output cells per input cell along each axis.
    """
    rfeatures.copy_(features)
    features, masks = map(in_float32, (features, masks))
    output.copy_(_carafe(features, masks, kernel_size, group_size, scale_factor))


def carafe_backward(
    grad_output: Tensor,
    rfeatures: Tensor,
    masks: Tensor,
    rgrad_output: Tensor,
    rgrad_input_hs: Tensor,
    rgrad_input: Tensor,
    rgrad_masks: Tensor,
    grad_input: Tensor,
    grad_masks: Tensor,
    kernel_size: int,
    group_size: int,
    scale_factor: int,
) -> None:
    """Gradients of :func:`carafe_forward` with respect to features and masks."""
    inputs = [in_float32(x).detach().requires_grad_() for x in (rfeatures, masks)]
    features, masks = inputs
    with torch.enable_grad():
        output = _carafe(features, masks, kernel_size, group_size, scale_factor)
    for target, grad in zip(
        (grad_input, grad_masks),
        torch.autograd.grad(output, inputs, grad_output.to(output)),
    ):
        target.copy_(grad)


def _carafe(
    features: Tensor,
    masks: Tensor,
    kernel_size: int,
    group_size: int,
    scale_factor: int,
) -> Tensor:
    n, c, h, w = features.shape
    cells = (h, scale_factor, w, scale_factor)
    masks = masks.view(n, group_size, 1, kernel_size**2, *cells)
    padded = F.pad(features, [(kernel_size - 1) // 2] * 4)
    output = features.new_zeros(n, group_size, c // group_size, *cells)
    # one cell of the patch at a time, since all at once would take kernel ** 2
    # times the memory
    for k in range(kernel_size**2):
        y, x = divmod(k, kernel_size)
        shifted = padded[:, :, y : y + h, x : x + w].reshape(
            n, group_size, c // group_size, h, 1, w, 1
        )
        output = output + shifted * masks[:, :, :, k]
    return output.view(n, c, h * scale_factor, w * scale_factor)
