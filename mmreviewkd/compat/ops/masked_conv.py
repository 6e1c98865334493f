"""Convolution at selected cells, for guided anchoring."""

import torch.nn.functional as F
from torch import Tensor


def masked_im2col_forward(
    features: Tensor,
    mask_h_idx: Tensor,
    mask_w_idx: Tensor,
    data_col: Tensor,
    kernel_h: int,
    kernel_w: int,
    pad_h: int,
    pad_w: int,
) -> None:
    """Fill ``data_col``, (C * kernel, cells), with patches around cells of an image."""
    patches = F.unfold(features, (kernel_h, kernel_w), padding=(pad_h, pad_w))
    across = features.size(3) + 2 * pad_w - kernel_w + 1
    data_col.copy_(patches[0, :, mask_h_idx * across + mask_w_idx])


def masked_col2im_forward(
    masked_output: Tensor,
    mask_h_idx: Tensor,
    mask_w_idx: Tensor,
    output: Tensor,
    height: int,
    width: int,
    channels: int,
) -> None:
    """Write values, (C, cells), to their cells in an output, (1, C, height, width)."""
    output[0, :, mask_h_idx, mask_w_idx] = masked_output.to(output)
