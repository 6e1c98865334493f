"""Decoupled knowledge distillation (Zhao et al., arXiv 2203.08679)."""

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor

from ..compat.precision import in_float32
from .checks import check_flags, check_numbers
from .kd import standardized_logits
from .method import Method, View


def dkd_loss(
    student: Tensor,
    teacher: Tensor,
    labels: Tensor,
    alpha: float,
    beta: float,
    temperature: float,
) -> Tensor:
    """Decoupled KD (arXiv 2203.08679): weights the target and the other classes apart.

    ``alpha`` weights the KL divergence between (target class, all others), ``beta``
    the one among the other classes. :func:`kd_loss` weights the latter by the
    probability that the teacher gives to the other classes.

    Args:
        student (Tensor): Student logits, (N, classes).
        teacher (Tensor): Teacher logits, (N, classes); gets no gradient.
        labels (Tensor): Index of each row's target class, (N, ).
        alpha (float): Weight of the target class's part.
        beta (float): Weight of the other classes' part.
        temperature (float): Divides the logits, as in :func:`kd_loss`.

    Returns:
        Tensor: Scalar, the mean over rows, in float32 at least.
    """
    target = labels[:, None]
    # the other classes by index, not by a mask, for which a GPU would be waited for
    rest = torch.arange(student.size(1) - 1, device=labels.device)
    rest = rest + (rest >= target)

    def split(logits: Tensor) -> tuple[Tensor, Tensor]:
        log_p = F.log_softmax(in_float32(logits) / temperature, 1)
        others = log_p.gather(1, rest)
        right_or_not = [log_p.gather(1, target), others.logsumexp(1, keepdim=True)]
        return torch.cat(right_or_not, 1), F.log_softmax(others, 1)

    parts = [
        F.kl_div(ours, theirs, reduction='batchmean', log_target=True)
        for ours, theirs in zip(split(student), split(teacher.detach()))
    ]
    return (alpha * parts[0] + beta * parts[1]) * temperature**2


@MODELS.register_module()
class DKDLoss(Method):
    """Method that computes :func:`dkd_loss`.

    Published for classifiers with alpha 1, beta 8 and temperature 4, and for the RoI
    head of a detector with alpha 1, beta 0.25 and temperature 1.

    Args:
        alpha (float): Weight of the target class's part.
        beta (float): Weight of the other classes' part.
        temperature (float): Divides the logits before the softmax.
        weight (float): Weight of the whole loss.
        standardize (bool): Whether both models' logits are standardized first, see
            :func:`standardized_logits`; published with weights of 9 to 18 and
            temperatures of 2 to 3 on CIFAR-100.

    Examples:
        >>> method = MODELS.build(dict(type='DKDLoss', alpha=1.0, beta=0.25))
        >>> labels = torch.tensor([2, 0])
        >>> same = View(logits=torch.eye(3)[:2], labels=labels)
        >>> method.losses(same, same)
        {'loss': tensor(0.)}
    """

    reads = ('logits', 'labels')

    def __init__(
        self,
        alpha: float = 1.0,
        beta: float = 8.0,
        temperature: float = 4.0,
        weight: float = 1.0,
        standardize: bool = False,
    ) -> None:
        super().__init__(weight)
        check_numbers('DKDLoss', temperature=temperature)
        check_flags('DKDLoss', standardize=standardize)
        check_numbers('DKDLoss', above=False, alpha=alpha, beta=beta)
        self.alpha, self.beta, self.temperature = alpha, beta, temperature
        self.standardize = standardize

    def losses(self, student: View, teacher: View) -> dict[str, Tensor]:
        ours, theirs = student.logits, teacher.logits
        if self.standardize:
            ours, theirs = map(standardized_logits, (ours, theirs))
        settings = self.alpha, self.beta, self.temperature
        return dict(loss=dkd_loss(ours, theirs, student.labels, *settings))
