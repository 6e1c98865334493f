"""Knowledge distillation of logits (Hinton et al., arXiv 1503.02531)."""

import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor

from ..compat.precision import in_float32
from .checks import check_flags, check_numbers
from .method import Method, View


def kd_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """KL divergence of softened class probabilities (arXiv 1503.02531).

    Args:
        student (Tensor): Student logits, (N, classes).
        teacher (Tensor): Teacher logits, (N, classes); gets no gradient.
        temperature (float): Divides the logits. The loss is multiplied by its
            square, which keeps the scale of the gradient.

    Returns:
        Tensor: Scalar, the mean over rows, in float32 at least.
    """
    ours, theirs = (
        F.log_softmax(in_float32(logits) / temperature, 1)
        for logits in (student, teacher.detach())
    )
    divergence = F.kl_div(ours, theirs, reduction='batchmean', log_target=True)
    return divergence * temperature**2


def standardized_logits(logits: Tensor) -> Tensor:
    """Give the logits of each row the mean 0 and the standard deviation 1.

    The student then need not match the range of the teacher's logits (Sun et al., arXiv
    2403.01427). The deviation is the unbiased one, and carries gradients.

    Args:
        logits (Tensor): Logits, (N, classes).

    Returns:
        Tensor: (N, classes), in float32 at least; zeros in rows of equal logits.
    """
    logits = in_float32(logits)
    centred = logits - logits.mean(1, keepdim=True)
    # as a norm, which has a gradient at 0
    deviation = centred.norm(dim=1, keepdim=True) / max(1, logits.size(1) - 1) ** 0.5
    return centred / (deviation + 1e-7)


@MODELS.register_module()
class KDLoss(Method):
    """Method that computes :func:`kd_loss`; published with temperature 4.

    Args:
        weight (float): Weight of the loss.
        temperature (float): Divides the logits before the softmax.
        standardize (bool): Whether both models' logits are standardized first, see
            :func:`standardized_logits`; published with weight 9 and temperature 2 on
            CIFAR-100.

    Examples:
        >>> method = MODELS.build(dict(type='KDLoss', weight=0.9, temperature=4.0))
        >>> student, teacher = torch.tensor([[0.0, 0.0]]), torch.tensor([[4.0, 0.0]])
        >>> loss = method.losses(View(logits=student), View(logits=teacher))['loss']
        >>> round(loss.item(), 2)
        1.78
    """

    reads = ('logits',)

    def __init__(
        self, weight: float = 1.0, temperature: float = 4.0, standardize: bool = False
    ) -> None:
        super().__init__(weight)
        check_numbers('KDLoss', temperature=temperature)
        check_flags('KDLoss', standardize=standardize)
        self.temperature, self.standardize = temperature, standardize

    def losses(self, student: View, teacher: View) -> dict[str, Tensor]:
        ours, theirs = student.logits, teacher.logits
        if self.standardize:
            ours, theirs = map(standardized_logits, (ours, theirs))
        return dict(loss=kd_loss(ours, theirs, self.temperature))
