"""Knowledge distillation of logits whose classes are sigmoids, one by one."""

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor

from .method import Method, View


def binary_kd_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """KL divergence of softened sigmoid probabilities, each class by itself.

    Args:
        student (Tensor): Logits, (N, classes).
        teacher (Tensor): Logits, (N, classes); gets no gradient.
        temperature (float): As :func:`kd_loss` takes it.

    Returns:
        Tensor: Scalar, the sum over classes, the mean over rows.
    """
    dtype = torch.promote_types(student.dtype, torch.float32)
    student, teacher = (x.to(dtype) / temperature for x in (student, teacher.detach()))
    cross_entropy, entropy = (
        F.binary_cross_entropy_with_logits(logits, teacher.sigmoid(), reduction='sum')
        for logits in (student, teacher)
    )
    return (cross_entropy - entropy) / len(student) * temperature**2


@MODELS.register_module()
class BinaryKDLoss(Method):
    """:func:`binary_kd_loss`, for heads with sigmoids.

    Args:
        weight (float): Of the loss.
        temperature (float): As :func:`binary_kd_loss` takes it.
    """

    reads = ('logits',)
    use_sigmoid = True

    def __init__(self, weight: float = 1.0, temperature: float = 1.0) -> None:
        super().__init__(weight)
        self.temperature = temperature

    def losses(self, student: View, teacher: View) -> dict[str, Tensor]:
        loss = binary_kd_loss(student.logits, teacher.logits, self.temperature)
        return dict(loss=loss)
