"""Channel-wise distillation, CWD (Shu et al., arXiv 2011.13256)."""

from __future__ import annotations

import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor

from ..compat.precision import in_float32
from .align import AlignedMethod, total
from .checks import check_numbers
from .method import Pair, View


def cwd_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """KL divergence of the softmax over a channel's positions (arXiv 2011.13256).

    Args:
        student (Tensor): Feature, (N, C, H, W).
        teacher (Tensor): Feature of the same shape.
        temperature (float): Divides the features. The loss is multiplied by its
            square.

    Returns:
        Tensor: Scalar, summed over the positions, and the mean over images and
        channels; 0 for maps of one cell.
    """
    ours, theirs = (
        F.log_softmax(in_float32(feature).flatten(2) / temperature, 2).flatten(0, 1)
        for feature in (student, teacher)
    )
    divergence = F.kl_div(ours, theirs, reduction='batchmean', log_target=True)
    return divergence * temperature**2


@MODELS.register_module()
class CWD(AlignedMethod):
    """Sum of :func:`cwd_loss` over the levels.

    Published with temperature 1: with weight 5 for RetinaNet, on strides 8 to 64
    (``ReviewKD(strides=...)``), and with weight 10 for Faster R-CNN, on all levels.

    Args:
        pair (Pair): The student and the teacher.
        weight (float): Weight of the loss.
        temperature (float): Divides the features before the softmax.

    Raises:
        UserInputError: The temperature is no number above 0.

    Examples:
        >>> method = CWD(Pair(['a'], [8], [8]))
        >>> feature = torch.rand(2, 8, 16, 16)
        >>> loss = method.losses(View([feature + 1]), View([feature]))['loss']
        >>> bool(loss < 1e-4)
        True
    """

    def __init__(
        self,
        pair: Pair,
        weight: float = 1.0,
        temperature: float = 1.0,
    ) -> None:
        super().__init__(pair, weight)
        check_numbers('CWD', temperature=temperature)
        self.temperature = temperature

    def losses(self, student: View, teacher: View) -> dict[str, Tensor]:
        pairs = self.aligned(student, teacher)
        return dict(loss=total(cwd_loss(*pair, self.temperature) for pair in pairs))
