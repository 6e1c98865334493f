"""Knowledge distillation of logits (Hinton et al., arXiv 1503.02531)."""

import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor

from .method import Method, View


def kd_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """KL divergence of softened class probabilities (arXiv 1503.02531).

    Args:
        student (Tensor): Logits, (N, classes).
        teacher (Tensor): Logits, (N, classes); gets no gradient.
        temperature (float): Divides the logits; the loss is multiplied by its
            square, which keeps the gradient's scale.

    Returns:
        Tensor: Scalar, the mean over rows.
    """
    return (
        F.kl_div(
            F.log_softmax(student / temperature, 1),
            F.log_softmax(teacher.detach() / temperature, 1),
            reduction='batchmean',
            log_target=True,
        )
        * temperature**2
    )


@MODELS.register_module()
class KDLoss(Method):
    """:func:`kd_loss` between softmax probabilities; published with temperature 4.

    Args:
        weight (float): Of the loss.
        temperature (float): As :func:`kd_loss` takes it.
    """

    reads = ('logits',)

    def __init__(self, weight: float = 1.0, temperature: float = 4.0) -> None:
        super().__init__(weight)
        self.temperature = temperature

    def losses(self, student: View, teacher: View) -> dict[str, Tensor]:
        return dict(loss=kd_loss(student.logits, teacher.logits, self.temperature))
