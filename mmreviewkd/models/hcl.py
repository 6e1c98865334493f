"""HCL, the hierarchical context loss between two feature maps."""
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

CONTEXTS = (4, 2, 1)
"""Sides, in cells, of the grids to which features are pooled."""


def hcl_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Hierarchical context loss of one level (arXiv 2104.09044, section 3.3).

    The mean squared difference of the features at full size, with weight 1,
    and after average pooling to 4x4, 2x2 and 1x1 cells, with weights 1/2, 1/4
    and 1/8 in order of use, divided by the sum of the weights. A grid that is
    not smaller than the map's height is left out and uses up no weight.

    Pooling is linear, so the difference is pooled, not its two sides. The
    squares are taken in float32, since those of half precision overflow.

    Args:
        student (Tensor): Reviewed student feature, (N, C, H, W).
        teacher (Tensor): Teacher feature, (N, C, H, W); gets no gradient.

    Returns:
        Tensor: Scalar in float32, or float64 for float64 features.

    Raises:
        ValueError: The two shapes differ.
    """
    if student.shape != teacher.shape:
        raise ValueError(f'student feature {tuple(student.shape)} and teacher '
                         f'feature {tuple(teacher.shape)} differ in shape')
    dtype = torch.promote_types(student.dtype, torch.float32)
    return _PooledSquares.apply(student.to(dtype) - teacher.detach())


class _PooledSquares(torch.autograd.Function):
    """The loss of the difference, with its gradient built in one buffer.

    Autograd would keep the squares' inputs and add up four full-size
    gradients, on which the loss spends most of its time and memory.
    """

    @staticmethod
    def forward(ctx, difference: Tensor) -> Tensor:
        sizes = [size for size in CONTEXTS if size < difference.size(2)]
        weights = [0.5**i for i in range(len(sizes) + 1)]
        pooled = [F.adaptive_avg_pool2d(difference, size) for size in sizes]
        ctx.save_for_backward(difference, *pooled)
        ctx.weights = [weight / sum(weights) for weight in weights]
        return sum(weight * _mean_square(values) for weight, values in zip(
            ctx.weights, [difference, *pooled]))

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_loss: Tensor) -> Tensor:
        difference, *pooled = ctx.saved_tensors
        scale = 2 * grad_loss
        grad = difference * (scale * ctx.weights[0] / difference.numel())
        for weight, context in zip(ctx.weights[1:], pooled):
            grad += torch.ops.aten._adaptive_avg_pool2d_backward(
                context * (scale * weight / context.numel()), difference)
        return grad


def _mean_square(values: Tensor) -> Tensor:
    # A norm per map, then their mean: no full-size temporary, and sums short
    # enough for float32.
    norms = torch.linalg.vector_norm(values, dim=(2, 3))
    return norms.square().mean() / values[0, 0].numel()
