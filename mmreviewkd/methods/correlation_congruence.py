"""Correlation congruence (Peng et al., arXiv 1904.01802), as the paper defines it."""

import math

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor

from ..compat.precision import in_float32
from .checks import check_numbers
from .method import Method, View


def correlation(vectors: Tensor, gamma: float, order: int) -> Tensor:
    """Gaussian kernel of each two images of a batch, as a Taylor series.

    For vectors of length 1, ``exp(-gamma * |x - y|^2)`` is the sum over p of
    ``exp(-2 gamma) * (2 gamma)^p / p! * (x . y)^p``, here up to p = ``order``.

    Args:
        vectors (Tensor): One vector per image, (N, C).
        gamma (float): Width of the kernel.
        order (int): Highest power of the series.

    Returns:
        Tensor: (N, N), in float32 at least.
    """
    with torch.autocast(vectors.device.type, enabled=False):
        rows = F.normalize(in_float32(vectors))
        cosine = rows @ rows.T
    terms = [(2 * gamma) ** p / math.factorial(p) * cosine**p for p in range(order + 1)]
    return math.exp(-2 * gamma) * torch.stack(terms).sum(0)


def correlation_loss(
    student: Tensor, teacher: Tensor, gamma: float, order: int
) -> Tensor:
    """Mean squared difference of two correlations (arXiv 1904.01802).

    Args:
        student (Tensor): Vectors, (N, C).
        teacher (Tensor): Vectors, (N, C'); gets no gradient.
        gamma (float): Width of the kernel, see :func:`correlation`.
        order (int): Highest power of the series, see :func:`correlation`.

    Returns:
        Tensor: Scalar, the mean over pairs of images; 0 for a batch of one.
    """
    return F.mse_loss(
        correlation(student, gamma, order), correlation(teacher.detach(), gamma, order)
    )


@MODELS.register_module()
class CorrelationCongruence(Method):
    """:func:`correlation_loss` of the deepest features, published beside KD.

    The paper's formula, in contrast to :class:`CC`. Its samplers, which fill a batch
    by classes or clusters, are not part of this class. A classifier's deepest feature
    is its pooled vector; maps are averaged.

    Args:
        weight (float): Weight of the loss.
        gamma (float): Width of the kernel.
        order (int): Highest power of the series.

    Raises:
        UserInputError: ``gamma`` is not above 0, or ``order`` is no whole number
            above 0.

    Examples:
        >>> method = MODELS.build(dict(type='CorrelationCongruence', weight=0.003))
        >>> student = View(features=[torch.rand(4, 8, 1, 1)])
        >>> teacher = View(features=[torch.rand(4, 32, 1, 1)])
        >>> method.losses(student, teacher)['loss'].shape
        torch.Size([])
    """

    def __init__(self, weight: float = 1.0, gamma: float = 0.4, order: int = 2) -> None:
        super().__init__(weight)
        check_numbers('CorrelationCongruence', gamma=gamma)
        check_numbers('CorrelationCongruence', whole=True, order=order)
        self.gamma, self.order = gamma, order

    def losses(self, student: View, teacher: View) -> dict[str, Tensor]:
        loss = correlation_loss(student.pooled, teacher.pooled, self.gamma, self.order)
        return dict(loss=loss)
