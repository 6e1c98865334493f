"""Knowledge distillation of logits, each class with a sigmoid of its own."""

import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor

from ..compat.precision import in_float32
from .checks import check_numbers
from .method import Method, View


def binary_kd_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """KL divergence of softened sigmoid probabilities, for each class separately.

    Args:
        student (Tensor): Student logits, (N, classes).
        teacher (Tensor): Teacher logits, (N, classes); gets no gradient.
        temperature (float): Divides the logits, as in :func:`kd_loss`.

    Returns:
        Tensor: Scalar, summed over the classes and averaged over the rows, in float32
        at least.
    """
    student, teacher = (
        in_float32(logits) / temperature for logits in (student, teacher.detach())
    )
    cross_entropy, entropy = (
        F.binary_cross_entropy_with_logits(logits, teacher.sigmoid(), reduction='sum')
        for logits in (student, teacher)
    )
    return (cross_entropy - entropy) / len(student) * temperature**2


@MODELS.register_module()
class BinaryKDLoss(Method):
    """Method for heads with sigmoid probabilities; computes :func:`binary_kd_loss`.

    Args:
        weight (float): Weight of the loss.
        temperature (float): Divides the logits before the sigmoid.

    Examples:
        >>> method = MODELS.build(dict(type='BinaryKDLoss', temperature=2.0))
        >>> same = View(logits=torch.ones(6, 80))
        >>> method.losses(same, same)
        {'loss': tensor(0.)}
    """

    reads = ('logits',)
    use_sigmoid = True

    def __init__(self, weight: float = 1.0, temperature: float = 1.0) -> None:
        super().__init__(weight)
        check_numbers('BinaryKDLoss', temperature=temperature)
        self.temperature = temperature

    def losses(self, student: View, teacher: View) -> dict[str, Tensor]:
        loss = binary_kd_loss(student.logits, teacher.logits, self.temperature)
        return dict(loss=loss)
