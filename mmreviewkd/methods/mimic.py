"""Mimicking the teacher's levels: FitNet's hint (arXiv 1412.6550) for detectors."""

from mmdet.registry import MODELS
from torch import Tensor

from .align import AlignedMethod, total
from .fitnet import hint_loss
from .method import View


@MODELS.register_module()
class Mimic(AlignedMethod):
    """Sum of :func:`hint_loss` over the levels, each after a 1x1 convolution.

    No paper fixes this loss for detectors. The forms in use differ in what is compared
    (raw features or normalised ones, necks or backbones) and in whether it is summed or
    averaged, so that a weight of one says nothing about another's. This form compares
    the raw features of all FPN levels by their mean square. It was chosen because two
    independent projects have published figures with it, and with the same weight 1:
    HEAD alone, and MasKD beside DIST. Both have the convolution also where the channels
    agree, as FitNet has its regressor, and so it is here, unlike in the other methods
    for detectors.

    Args:
        pair (Pair): The student and the teacher.
        weight (float): Weight of the loss.

    Examples:
        >>> method = Mimic(Pair(['a'], [8], [32]))
        >>> student = View(features=[torch.rand(2, 8, 16, 16)])
        >>> teacher = View(features=[torch.rand(2, 32, 16, 16)])
        >>> method.losses(student, teacher)['loss'].shape
        torch.Size([])
    """

    aligns_equal = True

    def losses(self, student: View, teacher: View) -> dict[str, Tensor]:
        return dict(
            loss=total(hint_loss(*pair) for pair in self.aligned(student, teacher))
        )
