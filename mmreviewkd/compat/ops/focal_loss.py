"""Focal loss with sigmoids."""

import torch
from torch import Tensor

from ..precision import in_float32


def sigmoid_focal_loss_forward(
    input: Tensor,
    target: Tensor,
    weight: Tensor,
    output: Tensor,
    gamma: float,
    alpha: float,
) -> None:
    """Focal loss (arXiv 1708.02002) without reduction.

    torchvision's focal loss takes one-hot targets, has no class weights and uses
    another formula at saturation; this one computes what mmcv's kernel does.

    Args:
        input (Tensor): Logits, (N, C).
        target (Tensor): Class indices, (N, ); C stands for background.
        weight (Tensor): One weight per class, (C, ), or empty.
        output (Tensor): Losses, (N, C), filled.
    """
    p, positive, tiny = _focal_terms(input, target)
    loss = torch.where(
        positive,
        -alpha * (1 - p) ** gamma * p.clamp(min=tiny).log(),
        (alpha - 1) * p**gamma * (1 - p).clamp(min=tiny).log(),
    )
    output.copy_(_class_weighted(loss, target, weight))


def sigmoid_focal_loss_backward(
    input: Tensor,
    target: Tensor,
    weight: Tensor,
    grad_input: Tensor,
    gamma: float,
    alpha: float,
) -> None:
    """Gradient of :func:`sigmoid_focal_loss_forward` with respect to the logits."""
    p, positive, tiny = _focal_terms(input, target)
    grad = torch.where(
        positive,
        -alpha * (1 - p) ** gamma * (1 - p - gamma * p * p.clamp(min=tiny).log()),
        (alpha - 1) * p**gamma * (gamma * (1 - p) * (1 - p).clamp(min=tiny).log() - p),
    )
    grad_input.copy_(_class_weighted(grad, target, weight))


def _focal_terms(input: Tensor, target: Tensor) -> tuple[Tensor, Tensor, float]:
    """Return probabilities, a mask of the target class, and mmcv's clamp of the log."""
    p = in_float32(input).sigmoid()
    classes = torch.arange(input.size(1), device=input.device)
    return p, target[:, None] == classes, torch.finfo(torch.float32).tiny


def _class_weighted(values: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    if weight.numel() == 0:
        return values
    # Background (target == C) has no weight of its own and gets 1; mmcv's kernel
    # reads beyond the array there.
    return values * torch.cat([weight, weight.new_ones(1)])[target][:, None]
