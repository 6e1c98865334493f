"""Distillation from a stronger teacher (Huang et al., arXiv 2205.10536)."""

from mmdet.registry import MODELS
from torch import Tensor

from ..compat.precision import in_float32
from .checks import check_numbers
from .method import Method, View


def pearson(student: Tensor, teacher: Tensor) -> Tensor:
    """Pearson's correlation of two vectors, in the last dimension.

    Args:
        student (Tensor): Vectors, (..., C).
        teacher (Tensor): Vectors, (..., C).

    Returns:
        Tensor: Correlations, (..., ); 0 where a vector is constant.
    """
    ours, theirs = (x - x.mean(-1, keepdim=True) for x in (student, teacher))
    return (ours * theirs).sum(-1) / (ours.norm(dim=-1) * theirs.norm(dim=-1) + 1e-8)


def dist_loss(
    student: Tensor, teacher: Tensor, beta: float, gamma: float, temperature: float
) -> Tensor:
    """Correlation of class probabilities, within rows and within classes.

    The loss is ``1 - r`` of the two models' probabilities of an image, the mean over
    images times ``beta``, and of a class, the mean over classes times ``gamma`` (arXiv
    2205.10536). The classes are compared over the batch.

    Args:
        student (Tensor): Student logits, (N, classes).
        teacher (Tensor): Teacher logits, (N, classes); gets no gradient.
        beta (float): Weight of the relations between classes.
        gamma (float): Weight of the relations within a class.
        temperature (float): Divides the logits. The loss is multiplied by its square,
            as in the authors' code.

    Returns:
        Tensor: Scalar.
    """
    ours, theirs = (
        (in_float32(logits) / temperature).softmax(1)
        for logits in (student, teacher.detach())
    )
    between = 1 - pearson(ours, theirs).mean()
    within = 1 - pearson(ours.T, theirs.T).mean()
    return (beta * between + gamma * within) * temperature**2


@MODELS.register_module()
class DIST(Method):
    """:func:`dist_loss`; published with weight 2, and temperature 4 on CIFAR-100.

    On ImageNet, the temperature is 1.

    Args:
        beta (float): Weight of the relations between classes.
        gamma (float): Weight of the relations within a class.
        temperature (float): Divides the logits before the softmax.
        weight (float): Weight of the whole loss.

    Examples:
        >>> method = MODELS.build(dict(type='DIST', weight=2.0, temperature=4.0))
        >>> same = View(logits=torch.eye(3))
        >>> round(method.losses(same, same)['loss'].item(), 2)
        0.0
    """

    reads = ('logits',)

    def __init__(
        self,
        beta: float = 1.0,
        gamma: float = 1.0,
        temperature: float = 1.0,
        weight: float = 1.0,
    ) -> None:
        super().__init__(weight)
        check_numbers('DIST', temperature=temperature)
        check_numbers('DIST', above=False, beta=beta, gamma=gamma)
        self.beta, self.gamma, self.temperature = beta, gamma, temperature

    def losses(self, student: View, teacher: View) -> dict[str, Tensor]:
        loss = dist_loss(
            student.logits, teacher.logits, self.beta, self.gamma, self.temperature
        )
        return dict(loss=loss)
