"""Attention transfer (Zagoruyko and Komodakis, arXiv 1612.03928)."""

import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor

from ..compat.precision import in_float32
from .align import total
from .method import Method, View


def attention(feature: Tensor) -> Tensor:
    """Attention map of each image: the mean square over channels, of norm 1.

    The squares are taken in float32, since those of half precision overflow.

    Args:
        feature (Tensor): Feature, (N, C, H, W).

    Returns:
        Tensor: (N, H * W); zeros for an image whose feature is zero everywhere.
    """
    return F.normalize(in_float32(feature).square().mean(1).flatten(1))


def attention_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of two attention maps (arXiv 1612.03928, section 3.1).

    The two features may differ in channels and in scale. If they differ in size, the
    larger is average pooled to the smaller.

    Args:
        student (Tensor): Student feature, (N, C, H, W).
        teacher (Tensor): Teacher feature, (N, C', H', W'); gets no gradient.

    Returns:
        Tensor: Scalar, the mean over images and positions.
    """
    height, width = map(min, student.shape[2:], teacher.shape[2:])
    ours, theirs = (
        attention(F.adaptive_avg_pool2d(feature, (height, width)))
        for feature in (student, teacher.detach())
    )
    return F.mse_loss(ours, theirs)


@MODELS.register_module()
class AttentionTransfer(Method):
    """Sum of :func:`attention_loss` over the levels; published with weight 1000.

    Weight 1000, and the mean of squares over images and cells that it multiplies, are
    those of the authors' code and of the CIFAR-100 benchmark of CRD. A map of one cell,
    such as a classifier's pooled vector, adds nothing.

    Args:
        weight (float): Weight of the loss.

    Examples:
        >>> method = MODELS.build(dict(type='AttentionTransfer', weight=1000.0))
        >>> student = View(features=[torch.rand(2, 8, 16, 16)])
        >>> teacher = View(features=[torch.rand(2, 32, 16, 16)])
        >>> method.losses(student, teacher)['loss'].shape
        torch.Size([])
    """

    def losses(self, student: View, teacher: View) -> dict[str, Tensor]:
        levels = map(attention_loss, student.features, teacher.features)
        return dict(loss=total(levels))
