"""Pearson correlation distillation, PKD (Cao et al., arXiv 2207.02039)."""

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor

from ..compat.precision import in_float32
from .align import AlignedMethod, total
from .method import View


def standardized_channels(feature: Tensor) -> Tensor:
    """Return each channel with mean 0 and deviation 1 over images and positions.

    Args:
        feature (Tensor): Feature, (N, C, H, W).

    Returns:
        Tensor: ``(feature - mean) / (std + 1e-6)``, in float32 at least, with the
        unbiased deviation; zeros for a channel that is constant, or a single value.
    """
    feature = in_float32(feature)
    values = feature.numel() // feature.size(1)
    # the unbiased deviation of a single value is no number
    std, mean = torch.std_mean(
        feature, (0, 2, 3), correction=min(1, values - 1), keepdim=True
    )
    return (feature - mean) / (std + 1e-6)


def pkd_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Half the mean squared difference of standardized features (arXiv 2207.02039).

    Apart from the 1e-6 this is 1 - r, with the mean of the channels' Pearson
    correlations r: scale and offset of a channel do not count.

    Args:
        student (Tensor): Feature, (N, C, H, W).
        teacher (Tensor): Feature of the same shape.

    Returns:
        Tensor: Scalar, the mean over all elements.
    """
    ours, theirs = map(standardized_channels, (student, teacher))
    return F.mse_loss(ours, theirs) / 2


@MODELS.register_module()
class PKD(AlignedMethod):
    """Sum of :func:`pkd_loss` over the levels.

    Published with weight 6 where the teacher is a two-stage detector, on strides 4 to
    32, and with weight 10 for one-stage ones, on strides 8 to 64
    (``ReviewKD(strides=...)``).
    The paper takes pairs of equal channels, for which nothing is trained beside the
    student. The statistics are those of the images of one GPU, as in the authors'
    code.

    Args:
        pair (Pair): The student and the teacher.
        weight (float): Weight of the loss.

    Examples:
        >>> method = PKD(Pair(['a'], [8], [8]))
        >>> feature = torch.rand(2, 8, 16, 16)
        >>> loss = method.losses(View([3 * feature + 1]), View([feature]))['loss']
        >>> bool(loss < 1e-6), len(list(method.parameters()))
        (True, 0)
    """

    def losses(self, student: View, teacher: View) -> dict[str, Tensor]:
        return dict(
            loss=total(pkd_loss(*pair) for pair in self.aligned(student, teacher))
        )
