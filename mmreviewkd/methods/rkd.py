"""Relational knowledge distillation (Park et al., arXiv 1904.05068)."""

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor

from ..compat.precision import in_float32
from .checks import check_numbers
from .method import Method, View

_NEAREST = 1e-6
"""Distance of two images that are closer than this, as in the authors' code."""


def relations(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Distances of each two images of a batch, and angles of each three.

    Args:
        vectors (Tensor): One vector per image, (N, C).

    Returns:
        tuple[Tensor, Tensor]: Distances, (N, N), in units of the mean distance of two
        different images; and cosines of the angles at the first image between the
        directions to the second and to the third, (N, N, N). Both are in float32 at
        least.
    """
    with torch.autocast(vectors.device.type, enabled=False):
        rows = in_float32(vectors)
        towards = rows[None, :] - rows[:, None]
        distance = towards.square().sum(2).clamp_min(_NEAREST**2).sqrt()
        direction = towards / distance[..., None]
        cosine = direction @ direction.transpose(1, 2)
    distance = distance - distance.diag().diag()  # none to itself
    pairs = max(1, len(rows) * (len(rows) - 1))
    return distance / (distance.sum() / pairs).clamp_min(_NEAREST), cosine


def relational_losses(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Compare distances and angles by Huber's loss (arXiv 1904.05068).

    Args:
        student (Tensor): Vectors, (N, C).
        teacher (Tensor): Vectors, (N, C'); gets no gradient.

    Returns:
        tuple[Tensor, Tensor]: Two scalars, the means over N * N distances and over
        N * N * N cosines.
    """
    ours, theirs = relations(student), relations(teacher.detach())
    return F.smooth_l1_loss(ours[0], theirs[0]), F.smooth_l1_loss(ours[1], theirs[1])


@MODELS.register_module()
class RKD(Method):
    """:func:`relational_losses` of the deepest features, published with 25 and 50.

    The weights are those of the paper and of CRD's CIFAR-100 benchmark. The features
    are not normalised. A classifier's deepest feature is its pooled vector; maps are
    averaged.

    Args:
        weight (float): Weight of the whole loss.
        distance_weight (float): Weight of the distances.
        angle_weight (float): Weight of the angles.

    Examples:
        >>> method = MODELS.build(dict(type='RKD', weight=1.0))
        >>> student = View(features=[torch.rand(4, 8, 1, 1)])
        >>> teacher = View(features=[torch.rand(4, 32, 1, 1)])
        >>> method.losses(student, teacher)['loss'].shape
        torch.Size([])
    """

    def __init__(
        self,
        weight: float = 1.0,
        distance_weight: float = 25.0,
        angle_weight: float = 50.0,
    ) -> None:
        super().__init__(weight)
        check_numbers(
            'RKD',
            above=False,
            distance_weight=distance_weight,
            angle_weight=angle_weight,
        )
        self.distance_weight, self.angle_weight = distance_weight, angle_weight

    def losses(self, student: View, teacher: View) -> dict[str, Tensor]:
        distance, angle = relational_losses(student.pooled, teacher.pooled)
        return dict(loss=self.distance_weight * distance + self.angle_weight * angle)
