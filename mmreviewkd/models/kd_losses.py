"""Losses between the logits of student and teacher."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor


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


def dkd_loss(
    student: Tensor,
    teacher: Tensor,
    labels: Tensor,
    alpha: float,
    beta: float,
    temperature: float,
) -> Tensor:
    """Decoupled KD (arXiv 2203.08679): target and other classes apart.

    ``alpha`` weights the KL divergence of (right class, all others), ``beta``
    that among the others; :func:`kd_loss` weights the latter by how unsure the
    teacher is.

    Args:
        student (Tensor): Logits, (N, classes).
        teacher (Tensor): Logits, (N, classes); gets no gradient.
        labels (Tensor): (N, ).
        alpha (float): Weight of the target class's part.
        beta (float): Weight of the other classes' part.
        temperature (float): As of :func:`kd_loss`.
    """
    target = F.one_hot(labels, student.size(1)).bool()

    def split(logits: Tensor) -> tuple[Tensor, Tensor]:
        log_p = F.log_softmax(logits / temperature, 1)
        others = log_p.masked_fill(target, -torch.inf)
        right_or_not = torch.stack([log_p[target], others.logsumexp(1)], 1)
        return right_or_not, F.log_softmax(others, 1)[~target].view(len(logits), -1)

    parts = [
        F.kl_div(ours, theirs, reduction='batchmean', log_target=True)
        for ours, theirs in zip(split(student), split(teacher.detach()))
    ]
    return (alpha * parts[0] + beta * parts[1]) * temperature**2


def binary_kd_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """KL divergence of softened sigmoid probabilities, each class by itself.

    Args:
        student (Tensor): Logits, (N, classes).
        teacher (Tensor): Logits, (N, classes); gets no gradient.
        temperature (float): As of :func:`kd_loss`.

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
class KDLoss(nn.Module):
    """:func:`kd_loss` with its weight; published with temperature 4."""

    def __init__(self, weight: float = 1.0, temperature: float = 4.0) -> None:
        super().__init__()
        self.weight, self.temperature = weight, temperature

    def forward(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        return self.weight * kd_loss(student, teacher, self.temperature)


@MODELS.register_module()
class BinaryKDLoss(nn.Module):
    """:func:`binary_kd_loss` with its weight, for heads with sigmoids."""

    use_sigmoid = True

    def __init__(self, weight: float = 1.0, temperature: float = 1.0) -> None:
        super().__init__()
        self.weight, self.temperature = weight, temperature

    def forward(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        return self.weight * binary_kd_loss(student, teacher, self.temperature)


@MODELS.register_module()
class DKDLoss(nn.Module):
    """:func:`dkd_loss`; published with alpha 1, beta 8 and temperature 4.

    On the RoI head of a detector with alpha 1, beta 0.25 and temperature 1.
    """

    def __init__(
        self, alpha: float = 1.0, beta: float = 8.0, temperature: float = 4.0
    ) -> None:
        super().__init__()
        self.alpha, self.beta, self.temperature = alpha, beta, temperature

    def forward(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        return dkd_loss(
            student, teacher, labels, self.alpha, self.beta, self.temperature
        )
