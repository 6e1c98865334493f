"""Probabilistic knowledge transfer (Passalis and Tefas, arXiv 1803.10837)."""

import torch
from mmdet.registry import MODELS
from torch import Tensor

from ..compat.precision import in_float32
from .method import Method, View

_EPS = 1e-7


def neighbor_probabilities(vectors: Tensor) -> Tensor:
    """Probability that one image of a batch would choose another as its neighbor.

    The cosine similarities, moved from -1 ... 1 to 0 ... 1, are divided by the sum of
    their row. An image may choose itself.

    Args:
        vectors (Tensor): One vector per image, (N, C).

    Returns:
        Tensor: (N, N), in float32 at least; each row sums to 1.
    """
    with torch.autocast(vectors.device.type, enabled=False):
        rows = in_float32(vectors)
        rows = rows / (rows.norm(dim=1, keepdim=True) + _EPS)
        similarity = (rows @ rows.T + 1) / 2
    return similarity / similarity.sum(1, keepdim=True)


def pkt_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """KL divergence of neighbor probabilities (arXiv 1803.10837).

    The divergence of a row is a sum over the batch. As in the authors' code, the loss
    is nevertheless the mean over all N * N terms, so that its weight has to grow with
    N.

    Args:
        student (Tensor): Vectors, (N, C).
        teacher (Tensor): Vectors, (N, C'); gets no gradient.

    Returns:
        Tensor: Scalar; 0 for a batch of one.
    """
    ours = neighbor_probabilities(student)
    theirs = neighbor_probabilities(teacher.detach())
    return (theirs * ((theirs + _EPS) / (ours + _EPS)).log()).mean()


@MODELS.register_module()
class PKT(Method):
    """:func:`pkt_loss` of the deepest features; published with weight 30000.

    The weight is that of CRD's CIFAR-100 benchmark, for a batch of 64 on one GPU. A
    classifier's deepest feature is its pooled vector; maps are averaged.

    Args:
        weight (float): Weight of the loss.

    Examples:
        >>> method = MODELS.build(dict(type='PKT', weight=30000.0))
        >>> student = View(features=[torch.rand(4, 8, 1, 1)])
        >>> teacher = View(features=[torch.rand(4, 32, 1, 1)])
        >>> method.losses(student, teacher)['loss'].shape
        torch.Size([])
    """

    def losses(self, student: View, teacher: View) -> dict[str, Tensor]:
        return dict(loss=pkt_loss(student.pooled, teacher.pooled))
